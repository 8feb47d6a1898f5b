-- Changes the metadata of a run (redis-state 5.8, "Update metadata"). KEYS:
-- metadata. ARGV: die, rv, sat, hasAI, bytes of attached metadata; an empty one
-- changes nothing. The first request version and the first start count. 0
-- changed, 1 no run.
if redis.call('HEXISTS', KEYS[1], 'id') == 0 then
  return 1
end
local function unset(field, none)
  local value = redis.call('HGET', KEYS[1], field)
  return not value or value == '' or value == none
end
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'die', ARGV[1])
end
if ARGV[2] ~= '' and unset('rv', '-1') then
  redis.call('HSET', KEYS[1], 'rv', ARGV[2])
end
if ARGV[3] ~= '' and unset('sat', '0') then
  redis.call('HSET', KEYS[1], 'sat', ARGV[3])
end
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], 'hasAI', '1')
end
if ARGV[5] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'metadata_size', ARGV[5])
end
return 0
