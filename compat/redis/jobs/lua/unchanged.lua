-- Tells whether an item is as it was read. KEYS: items. ARGV: item id, item as it was
-- read. 0 it is, 1 it is not.
return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and 0 or 1
