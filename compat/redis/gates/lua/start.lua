-- Lets a batch collect no more (redis-state 11, "Start"). KEYS: pointer, the
-- batch's metadata. ARGV: batch. 0 done, 1 it was done before, -1 there is no such
-- batch.
local status = redis.call('HGET', KEYS[2], 'status')
if not status then
  return -1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
if status == 'Started' then
  return 1
end
redis.call('HSET', KEYS[2], 'status', 'Started')
return 0
