-- Takes the right to end a run, unless another has it that may still be about it
-- (redis-state 6.2). KEYS: the right. ARGV: token, seconds for which it is kept,
-- seconds after which who took it has died, since the run is there. 0 taken, or
-- had before, 1 another has it.
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  return 0
end
if holder then
  local left = redis.call('TTL', KEYS[1])
  if left >= 0 and tonumber(ARGV[2]) - left < tonumber(ARGV[3]) then
    return 1
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 0
