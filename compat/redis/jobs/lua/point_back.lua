-- Makes a pointer lead to a partition with items, when none does, or one that is
-- too late for the first of them. KEYS: as pointers.lua, ready, scavenger, the
-- function's migration lock. ARGV: partition, account or '', fresh partition, now
-- in ms, seconds by which a pointer may be late, the latest ms to which a visit
-- may be put off, 1 to put it right. 1 it is, or was, wrong, 0 nothing is.
local READY, SCAVENGER, LOCK = KEYS[6], KEYS[7], KEYS[8]
local partition = ARGV[1]
local first = earliest(READY)
local seconds
if first then
  seconds = math.max(math.floor(first / 1000), math.floor(tonumber(ARGV[4]) / 1000))
elseif redis.call('EXISTS', SCAVENGER) == 1 then
  seconds = math.floor(tonumber(ARGV[4]) / 1000) + 60
else
  return 0
end
if redis.call('EXISTS', LOCK) == 1 then
  return 0
end
local value = readPartition(partition, ARGV[3])
if not value then
  return 0
end
local wrong = 0
if type(value.forceAtMS) == 'number' and value.forceAtMS > tonumber(ARGV[6]) then
  wrong = 1
  if ARGV[7] == '1' then
    value.forceAtMS = 0
    writePartition(partition, value)
  end
end
local at = redis.call('ZSCORE', POINTERS, partition)
if not at or tonumber(at) > seconds + tonumber(ARGV[5]) then
  wrong = 1
  if ARGV[7] == '1' then
    point(partition, ARGV[2], seconds)
  end
end
return wrong
