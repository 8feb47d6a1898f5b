-- Acquires capacity for one item (redis-queue 10.3). KEYS: accounts, leases, the
-- lease's details, request, charged by the hashed item, charged by the hashed
-- request key, keys of constraints. ARGV: account, lease, its end, now in ms, now
-- in ns, request, hashed item, run, request id, how many constraints, constraints.
-- Returns {0} when granted, else the position of the constraint that is exhausted,
-- the last in order, and when to ask again in ms, the latest.
local ACCOUNTS, LEASES, DETAILS, REQUEST, CHARGED, CHARGED_KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local lease, leaseEnd, nowMS, nowNS = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('EXISTS', DETAILS) == 1 then
  return {0} -- asked a second time: the answer to the first was lost
end
local charged = redis.call('EXISTS', CHARGED) == 1
local all, exhausted, again = {}, 0, 0
for n = 1, tonumber(ARGV[10]) do
  local c = constraint(n, 11)
  if not (charged and (c.kind == THROTTLE or c.kind == RATE)) then
    all[#all + 1] = c
    local left, at = free(c, nowMS, nowNS)
    if left <= 0 then
      exhausted, again = n, math.max(again, at)
    end
  end
end
if exhausted > 0 then
  return {exhausted, again}
end
for _, c in ipairs(all) do
  take(c, nowMS, nowNS, lease, leaseEnd)
end
redis.call('HSET', DETAILS, 'lik', ARGV[7], 'rid', ARGV[8], 'req', ARGV[9])
-- From the first grant on: a later one does not make it last longer.
redis.call('SET', CHARGED, ARGV[4], 'EX', 300, 'NX')
redis.call('SET', CHARGED_KEY, ARGV[4], 'EX', 300, 'NX')
redis.call('ZADD', LEASES, leaseEnd, lease)
redis.call('SET', REQUEST, ARGV[6])
local first = redis.call('ZSCORE', ACCOUNTS, ARGV[1])
if not first or tonumber(first) > tonumber(leaseEnd) then
  redis.call('ZADD', ACCOUNTS, leaseEnd, ARGV[1])
end
return {0}
