-- Takes a key that nobody has, and tells who has it otherwise (redis-state 5.8,
-- "Create run"): SET with NX and GET at once is of Redis 7. KEYS: key. ARGV: value,
-- seconds. 0 taken, else who had it.
local holder = redis.call('GET', KEYS[1])
if holder then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 0
