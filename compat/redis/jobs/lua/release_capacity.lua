-- Gives a capacity lease back (redis-queue 10.4). KEYS: accounts, leases, the
-- lease's details, request, keys of constraints. ARGV: account, lease, request as
-- it was read or '', what is left of it or '' when it goes, 1 to give back
-- semaphores that are otherwise given back when the run ends, how many
-- constraints, constraints. 0 given back, 1 it was before, 2 the request has changed.
local text = redis.call('GET', KEYS[4]) or ''
if text ~= ARGV[3] then
  return 2
end
if redis.call('DEL', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  refresh(KEYS[1], KEYS[2], ARGV[1])
  return 1
end
for n = 1, tonumber(ARGV[6]) do
  give(constraint(n, 7), ARGV[2], ARGV[5] == '1')
end
redis.call('ZREM', KEYS[2], ARGV[2])
refresh(KEYS[1], KEYS[2], ARGV[1])
if ARGV[4] == '' then
  redis.call('DEL', KEYS[4])
else
  redis.call('SET', KEYS[4], ARGV[4])
end
return 0
