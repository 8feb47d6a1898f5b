-- Removes what is left of an item that is not there, or sets a bad one aside
-- (redis-queue 9.2, "remove-item"). KEYS: items, ready, scavenger, leased, set
-- aside, indexes. ARGV: item id, item as it was read or '' for none, partition,
-- reason, its kind, now. 0 removed, 1 not as it was.
local text = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if text ~= ARGV[2] then
  return 1
end
if text ~= '' then
  redis.call('HSET', KEYS[5], ARGV[1],
    cjson.encode({partition = ARGV[3], reason = ARGV[4], why = ARGV[5], at = tonumber(ARGV[6]), item = text}))
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
refresh(KEYS[4], KEYS[3], ARGV[3])
for i = 6, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[1])
end
return 0
