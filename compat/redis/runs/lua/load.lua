-- Reads a run's state as it is at one moment. KEYS: metadata, events, stack,
-- actions, inputs, pending, defers, inputs of defers, control metadata of defers.
-- Returns them in this order; events are nil for none, hashes are lists.
local metadata, events = redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2])
if redis.call('EXISTS', unpack(KEYS, 3)) == 0 then
  return {metadata, events, {}, {}, {}, {}, {}, {}, {}} -- as most are at first
end
return {
  metadata, events, redis.call('LRANGE', KEYS[3], 0, -1),
  redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5]), redis.call('SMEMBERS', KEYS[6]),
  redis.call('HGETALL', KEYS[7]), redis.call('HGETALL', KEYS[8]), redis.call('HGETALL', KEYS[9]),
}
