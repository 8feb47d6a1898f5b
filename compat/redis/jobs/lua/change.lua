-- Writes an item without moving it. KEYS: items. ARGV: item id, item as it was
-- read, new item. 0 written, 1 not there, 2 not as it was.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then
  return 1
end
if text == ARGV[3] then
  return 0
end
if text ~= ARGV[2] then
  return 2
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 0
