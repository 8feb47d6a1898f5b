-- Puts an event into a debounce, new or not, and its job into the queue or to
-- another time, at one moment (redis-queue 16). Before it stands operation(KEYS,
-- ARGV), which is enqueue.lua or requeue.lua. KEYS: those of the operation,
-- pointer, debounces. ARGV: how many keys and arguments the operation has,
-- pointer as it was read, debounce and event as they were read, new debounce and
-- event, seconds to keep the pointer, 1 to forget the old debounce, arguments of
-- the operation. What was not there is ''. 0 done, 1 something is not as it was
-- read.
local keys, args = {}, {}
for i = 1, tonumber(ARGV[1]) do
  keys[i] = KEYS[i]
end
for i = 1, tonumber(ARGV[2]) do
  args[i] = ARGV[9 + i]
end
local POINTER, DEBOUNCES = KEYS[#keys + 1], KEYS[#keys + 2]
if (redis.call('GET', POINTER) or '') ~= ARGV[3] then
  return 1
end
if ARGV[4] ~= '' and (redis.call('HGET', DEBOUNCES, ARGV[4]) or '') ~= ARGV[5] then
  return 1
end
if operation(keys, args) ~= 0 then
  return 1
end
if ARGV[9] == '1' then
  redis.call('HDEL', DEBOUNCES, ARGV[4])
end
redis.call('SET', POINTER, ARGV[6], 'EX', ARGV[8])
redis.call('HSET', DEBOUNCES, ARGV[6], ARGV[7])
return 0
