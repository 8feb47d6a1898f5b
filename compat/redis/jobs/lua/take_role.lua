-- Takes a role, or keeps it (redis-queue 9.11). KEYS: role. ARGV: new lease, own
-- present lease or empty, a lease that has ended or empty. 0 taken, 1 held by
-- another.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] and holder ~= ARGV[3] then
  return 1
end
redis.call('SET', KEYS[1], ARGV[1])
return 0
