-- Deletes a pause and all that leads to it (redis-state 8.6). KEYS: as for
-- save_pause, then the pause's block. ARGV: id, correlation or '', signal or ''.
redis.call('HDEL', KEYS[6], ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
if ARGV[2] ~= '' then
  redis.call('HDEL', KEYS[7], ARGV[2])
end
if ARGV[3] ~= '' and redis.call('HGET', KEYS[8], ARGV[3]) == ARGV[1] then
  redis.call('HDEL', KEYS[8], ARGV[3])
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('DEL', KEYS[9])
redis.call('SREM', KEYS[5], ARGV[1])
return 0
