-- Enqueues an item (redis-queue 9.1). KEYS: as pointers.lua, seen, ready, the
-- singleton's key, the run's singleton, indexes. ARGV: item id, item, score,
-- pointer in seconds, now, partition, fresh partition, account or '', run, 1 for
-- a singleton, 1 to enqueue it only if its run has no other item, 1 to do so also
-- if it was done before. 0 enqueued, 1 there or done before, 2 the singleton is
-- taken, 3 the run has another item.
local SEEN, READY, SINGLETON, RUN_SINGLETON = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local id, partition, account = ARGV[1], ARGV[6], ARGV[8]
if ARGV[12] ~= '1' and redis.call('EXISTS', SEEN) == 1 or redis.call('HEXISTS', ITEMS, id) == 1 then
  return 1
end
if ARGV[11] == '1' and redis.call('EXISTS', KEYS[10]) == 1 then
  return 3
end
if ARGV[10] == '1' then
  if redis.call('EXISTS', SINGLETON) == 1 then
    return 2
  end
  redis.call('SET', RUN_SINGLETON, SINGLETON)
  redis.call('SET', SINGLETON, ARGV[9])
end
redis.call('HSET', ITEMS, id, ARGV[2])
redis.call('ZADD', READY, ARGV[3], id)
redis.call('HSETNX', PARTITIONS, partition, ARGV[7])
local at = redis.call('ZSCORE', POINTERS, partition)
if (not at or tonumber(at) > tonumber(ARGV[4])) and not forced(partition, tonumber(ARGV[5])) then
  point(partition, account, tonumber(ARGV[4]))
end
for i = 10, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[3], id)
end
return 0
