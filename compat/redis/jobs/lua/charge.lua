-- Charges a rate limit, once for each key (redis-queue 10.3, 10.7). KEYS: charged
-- by the hashed key, keys of constraints. ARGV: now in ms, now in ns, how many
-- constraints, constraints. Returns {0} when it is charged or was before, else {1,
-- when to ask again in ms}.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {0}
end
local c = constraint(1, 4)
local left, again = free(c, tonumber(ARGV[1]), tonumber(ARGV[2]))
if left <= 0 then
  return {1, again}
end
take(c, tonumber(ARGV[1]), tonumber(ARGV[2]))
redis.call('SET', KEYS[1], ARGV[1], 'EX', 300)
return {0}
