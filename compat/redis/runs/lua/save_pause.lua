-- Saves a pause unless it is there (redis-state 8.4). KEYS: pause, all pauses,
-- added, expires, the run's pauses, the event's pauses, invokes, signals. ARGV:
-- id, pause, seconds to keep it, creation in seconds, event or '', correlation
-- or '', signal or '', 1 to take the signal from another.
-- 0 saved, -1 there before, -2 another pause has the signal: nothing is changed.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return -1
end
if ARGV[7] ~= '' then
  local holder = redis.call('HGET', KEYS[8], ARGV[7])
  if holder and holder ~= ARGV[1] and ARGV[8] ~= '1' then
    return -2
  end
  redis.call('HSET', KEYS[8], ARGV[7], ARGV[1])
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[4] + ARGV[3], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[1])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[6], ARGV[1], ARGV[2])
end
if ARGV[6] ~= '' then
  redis.call('HSETNX', KEYS[7], ARGV[6], ARGV[1])
end
return 0
