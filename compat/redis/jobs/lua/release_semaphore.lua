-- Gives back, once, what a run took of a semaphore (redis-state 15). KEYS: usage,
-- once. ARGV: weight.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
local left = math.max((tonumber(redis.call('GET', KEYS[1]) or '0') or 0) - tonumber(ARGV[1]), 0)
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('SET', KEYS[1], left)
end
redis.call('SET', KEYS[2], left, 'EX', 60)
return 1
