-- Takes away a debounce that has started its run, with its pointer if that is its
-- still (redis-queue 16). KEYS: pointer, debounces. ARGV: debounce.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
redis.call('HDEL', KEYS[2], ARGV[1])
return 0
