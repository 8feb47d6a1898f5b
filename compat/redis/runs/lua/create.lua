-- Makes a run's state unless it is there (redis-state 5.8, "Create run").
-- KEYS: events, metadata, actions, stack, inputs.
-- ARGV: events, then three lists, each with its length before it: fields of the
-- metadata, finished steps, inputs; each as name and value.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
local at = 1
local function pairsTo(put)
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    put(ARGV[at + 1], ARGV[at + 2])
    at = at + 2
  end
end
local fields = tonumber(ARGV[2])
if fields > 0 then
  redis.call('HSET', KEYS[2], unpack(ARGV, 3, 2 + 2 * fields))
end
at = 2 + 2 * fields
pairsTo(function(step, output)
  redis.call('HSET', KEYS[3], step, output)
  redis.call('RPUSH', KEYS[4], step)
end)
pairsTo(function(step, input) redis.call('HSET', KEYS[5], step, input) end)
redis.call('SET', KEYS[1], ARGV[1])
return 0
