-- Makes a partition again that has items, but no data, or removes a pointer to
-- nothing. KEYS: as pointers.lua, ready, scavenger, shadow. ARGV: partition, fresh
-- partition. 1 made, 0 there is nothing.
if redis.call('EXISTS', KEYS[6]) == 1 or redis.call('EXISTS', KEYS[7]) == 1 or redis.call('EXISTS', KEYS[8]) == 1 then
  return redis.call('HSETNX', PARTITIONS, ARGV[1], ARGV[2])
end
if redis.call('HEXISTS', PARTITIONS, ARGV[1]) == 0 then
  redis.call('ZREM', POINTERS, ARGV[1])
end
return 0
