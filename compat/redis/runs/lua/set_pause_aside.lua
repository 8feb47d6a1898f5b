-- Sets a pause aside that leads to nothing. KEYS: the event's pauses, set aside,
-- all pauses, added, expires, pause. ARGV: id, pause as it was read, kind of the
-- reason, reason, now. 1 set aside, 0 it is not as it was.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1],
  cjson.encode({why = ARGV[3], reason = ARGV[4], at = tonumber(ARGV[5]), pause = ARGV[2]}))
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('DEL', KEYS[6])
return 1
