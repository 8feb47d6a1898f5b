-- Takes a key that nobody has, and tells who has it otherwise (redis-state 5.8,
-- "Create run"): SET with NX and GET at once is of Redis 7. KEYS: key. ARGV: value,
-- seconds. Returns who had it, or false.
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return holder
