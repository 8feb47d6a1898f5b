-- Replaces a deferred function's value and takes its input away (redis-state
-- 5.8, "Set defer status"). KEYS: defers, inputs, metadata. ARGV: id, value as it
-- was read, new value. 1 replaced, 0 it is not as it was.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local size = redis.call('HSTRLEN', KEYS[2], ARGV[1])
if size > 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('HINCRBY', KEYS[3], 'defer_input_size', -size)
end
return 1
