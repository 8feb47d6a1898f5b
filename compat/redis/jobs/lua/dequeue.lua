-- Dequeues an item (redis-queue 9.7). KEYS: as pointers.lua, seen, ready,
-- scavenger, leased, peek, the run's singleton, the run's index, other indexes.
-- ARGV: item id, item as it was read or '' for any, partition, account or '',
-- seconds to remember it, fresh partition, run, 1 for an item of a run.
-- 0 dequeued, 1 not there, 2 not as it was.
local SEEN, READY, SCAVENGER, LEASED, PEEK, RUN_SINGLETON = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local id, partition = ARGV[1], ARGV[3]
local text = redis.call('HGET', ITEMS, id)
if not text then
  return 1
end
if ARGV[2] ~= '' and text ~= ARGV[2] then
  return 2
end
redis.call('HDEL', ITEMS, id)
redis.call('DEL', PEEK)
redis.call('ZREM', READY, id)
if tonumber(ARGV[5]) > 0 then
  redis.call('SET', SEEN, '', 'EX', ARGV[5])
end
redis.call('ZREM', SCAVENGER, id)
refresh(LEASED, SCAVENGER, partition)
local first = earliest(READY)
local at = redis.call('ZSCORE', POINTERS, partition)
if first and at and tonumber(at) > first / 1000 then
  point(partition, ARGV[4], first / 1000)
  local value = readPartition(partition, ARGV[6]) or cjson.decode(ARGV[6])
  value.forceAtMS = nil
  writePartition(partition, value)
end
for i = 12, #KEYS do
  redis.call('ZREM', KEYS[i], id)
end
if ARGV[8] == '1' then
  local lock = redis.call('GET', RUN_SINGLETON)
  if lock and redis.call('EXISTS', KEYS[12]) == 0 then
    redis.call('DEL', RUN_SINGLETON)
    if redis.call('GET', lock) == ARGV[7] then
      redis.call('DEL', lock)
    end
  end
end
return 0
