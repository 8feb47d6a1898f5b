-- Saves a finished step, the first time (redis-state 5.8, "Save step").
-- KEYS: actions, metadata, stack, inputs, pending. ARGV: step, output, bytes of
-- attached metadata. Returns what became of it and whether what follows is
-- another step's to say, because steps are pending or finished later:
-- 0 saved, -1 another output was saved before, -2 the same was, -3 no run.
local function pending()
  return redis.call('EXISTS', KEYS[5])
end
if redis.call('HEXISTS', KEYS[2], 'id') == 0 then
  return {-3, 0}
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
  if before == ARGV[2] then
    if redis.call('LINDEX', KEYS[3], -1) ~= ARGV[1] then
      return {-2, 1}
    end
    return {-2, pending()}
  end
  return {-1, pending()}
end
local input = redis.call('HSTRLEN', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[2], 'state_size', string.len(ARGV[2]) - input)
redis.call('HINCRBY', KEYS[2], 'step_count', 1)
if tonumber(ARGV[3]) > 0 then
  redis.call('HINCRBY', KEYS[2], 'metadata_size', ARGV[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[5], ARGV[1])
return {0, pending()}
