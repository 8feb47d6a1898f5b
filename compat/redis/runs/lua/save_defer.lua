-- Saves a deferred function unless it is there (redis-state 5.8, "Save defer").
-- KEYS: defers, inputs, control metadata, metadata. ARGV: id, value, value if it
-- is rejected, input, most defers, most bytes of input, control metadata.
-- 1 saved, 0 there before, -1 too many, -2 saved as rejected.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
  return -1
end
local size = string.len(ARGV[4])
if size > 0 then
  local used = tonumber(redis.call('HGET', KEYS[4], 'defer_input_size')) or 0
  if used + size > tonumber(ARGV[6]) then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    return -2
  end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
  redis.call('HINCRBY', KEYS[4], 'defer_input_size', size)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[7])
end
return 1
