-- Replaces a capacity lease by a later one (redis-queue 10.4). KEYS: accounts,
-- leases, the lease's details, the new one's, request, keys of constraints. ARGV:
-- account, lease, new lease, its end, now, how many constraints, constraints.
-- 0 replaced, 1 it has ended or is not there.
if redis.call('EXISTS', KEYS[4]) == 1 then
  return 0 -- asked a second time: the answer to the first was lost
end
local details = redis.call('HGETALL', KEYS[3])
if #details == 0 or redis.call('EXISTS', KEYS[5]) == 0 or not redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return 1
end
for n = 1, tonumber(ARGV[6]) do
  local c = constraint(n, 7)
  if c.kind == CONCURRENCY then
    redis.call('ZREM', c.key, ARGV[2])
    redis.call('ZADD', c.key, ARGV[4], ARGV[3])
  end
end
redis.call('RENAME', KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
refresh(KEYS[1], KEYS[2], ARGV[1])
return 0
