-- Leases a partition (redis-queue 9.4). KEYS: as pointers.lua. ARGV: partition,
-- lease, now, its end in seconds, account or '', fresh partition, the latest ms at
-- which a lease may end: one beyond it counts for nothing.
-- 0 leased, -1 not there, -2 leased by another.
local value = readPartition(ARGV[1], ARGV[6])
if not value then
  return -1
end
-- The time of a lease is its first ten characters (redis-queue 3.2).
local function leaseEnd(lease)
  if type(lease) ~= 'string' or #lease < 10 then
    return 0
  end
  local ms = 0
  for i = 1, 10 do
    local digit = string.find('0123456789ABCDEFGHJKMNPQRSTVWXYZ', string.sub(lease, i, i), 1, true)
    if not digit then
      return 0
    end
    ms = ms * 32 + digit - 1
  end
  return ms
end
local held = leaseEnd(value.leaseID)
if held > tonumber(ARGV[3]) and held <= tonumber(ARGV[7]) then
  return -2
end
value.leaseID, value.at, value.last = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[3])
writePartition(ARGV[1], value)
point(ARGV[1], ARGV[5], tonumber(ARGV[4]))
return 0
