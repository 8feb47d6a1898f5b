-- Moves what rests in a backlog to where it is executed from (redis-queue 21.4,
-- 21.5). KEYS: as pointers.lua, ready, backlog, backlogs, the partition's backlogs,
-- shadows, shadow pointers, the account's, shadow accounts. ARGV: partition,
-- account or '', backlog, fresh partition, most items. Returns how many moved.
local READY, BACKLOG, BACKLOGS, SHADOW = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local SHADOWS, SHADOW_POINTERS, ACCOUNT_SHADOWS, SHADOW_ACCOUNTS = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local partition, account = ARGV[1], ARGV[2]
local resting = redis.call('ZRANGE', BACKLOG, 0, tonumber(ARGV[5]) - 1, 'WITHSCORES')
for i = 1, #resting, 2 do
  if redis.call('HEXISTS', ITEMS, resting[i]) == 1 then
    redis.call('ZADD', READY, resting[i + 1], resting[i])
  end
  redis.call('ZREM', BACKLOG, resting[i])
end
local first = earliest(READY)
if first then
  redis.call('HSETNX', PARTITIONS, partition, ARGV[4])
  local at = redis.call('ZSCORE', POINTERS, partition)
  if not at or tonumber(at) > math.floor(first / 1000) then
    point(partition, account, math.floor(first / 1000))
  end
end
if redis.call('EXISTS', BACKLOG) == 0 then
  redis.call('HDEL', BACKLOGS, ARGV[3])
  redis.call('ZREM', SHADOW, ARGV[3])
end
if redis.call('EXISTS', SHADOW) == 0 then
  redis.call('HDEL', SHADOWS, partition)
  redis.call('ZREM', SHADOW_POINTERS, partition)
  redis.call('ZREM', ACCOUNT_SHADOWS, partition)
  if account ~= '' then
    refresh(SHADOW_ACCOUNTS, ACCOUNT_SHADOWS, account)
  end
end
return #resting / 2
