-- Leases an item (redis-queue 9.5), or extends its lease (9.6). KEYS: items,
-- ready, scavenger, leased. ARGV: item id, item as it was read, item with the
-- lease, end of the lease, partition. 0 done, 1 not there, 2 not as it was.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then
  return 1
end
if text == ARGV[3] then
  return 0 -- asked a second time: the answer to the first was lost
end
if text ~= ARGV[2] then
  return 2
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
refresh(KEYS[4], KEYS[3], ARGV[5])
return 0
