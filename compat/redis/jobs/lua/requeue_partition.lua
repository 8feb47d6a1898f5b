-- Ends the visit of a partition (redis-queue 9.10). KEYS: as pointers.lua, ready,
-- scavenger, shadow. ARGV: partition, milliseconds, 1 to force that time, account
-- or '', fresh partition. 0 requeued, 1 not there, 2 the pointers are gone, 3 the partition is.
local READY, SCAVENGER, SHADOW = KEYS[6], KEYS[7], KEYS[8]
local partition, account = ARGV[1], ARGV[4]
local value = readPartition(partition, ARGV[5])
if not value then
  return 1
end
value.leaseID = nil
if redis.call('EXISTS', READY) == 0 and redis.call('EXISTS', SCAVENGER) == 0 then
  redis.call('ZREM', POINTERS, partition)
  if account ~= '' then
    redis.call('ZREM', ACCOUNT_POINTERS, partition)
    refresh(ACCOUNTS, ACCOUNT_POINTERS, account)
  end
  if redis.call('EXISTS', SHADOW) == 0 then
    redis.call('HDEL', PARTITIONS, partition)
    return 3
  end
  writePartition(partition, value)
  return 2
end
local ms = tonumber(ARGV[2])
local seconds = math.floor(ms / 1000)
value.forceAtMS = 0
if ARGV[3] == '1' then
  value.forceAtMS = ms
else
  local id = redis.call('ZRANGE', READY, 0, 0)[1]
  local text = id and redis.call('HGET', ITEMS, id)
  local good, item = pcall(cjson.decode, text or '')
  if good and type(item) == 'table' and type(item.at) == 'number' and not item.leaseID then
    seconds = math.max(1, math.min(seconds, math.floor(item.at / 1000)))
  end
end
value.at = seconds
writePartition(partition, value)
point(partition, account, seconds)
return 0
