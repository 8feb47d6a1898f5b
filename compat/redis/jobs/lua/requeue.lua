-- Puts an item back (redis-queue 9.8). KEYS: as pointers.lua, ready, scavenger,
-- leased, peek, indexes to leave, indexes to be in. ARGV: item id, item as it was
-- read, new item, score, now, partition, account or '', fresh partition, how many
-- indexes to leave. 0 requeued, 1 not there, 2 not as it was.
local READY, SCAVENGER, LEASED, PEEK = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local id, partition = ARGV[1], ARGV[6]
local text = redis.call('HGET', ITEMS, id)
if not text then
  return 1
end
if text ~= ARGV[2] then
  if text == ARGV[3] then
    return 0 -- asked a second time: the answer to the first was lost
  end
  return 2
end
redis.call('HSET', ITEMS, id, ARGV[3])
redis.call('DEL', PEEK)
redis.call('ZREM', SCAVENGER, id)
refresh(LEASED, SCAVENGER, partition)
redis.call('ZADD', READY, ARGV[4], id)
redis.call('HSETNX', PARTITIONS, partition, ARGV[8])
if not forced(partition, tonumber(ARGV[5])) then
  point(partition, ARGV[7], earliest(READY) / 1000)
end
local leave = tonumber(ARGV[9])
for i = 10, 9 + leave do
  redis.call('ZREM', KEYS[i], id)
end
for i = 10 + leave, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[4], id)
end
return 0
