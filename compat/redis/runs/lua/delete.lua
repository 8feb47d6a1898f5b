-- Takes a run's state away (redis-state 5.8, "Delete run"). KEYS: the run's. Returns 0.
redis.call('DEL', unpack(KEYS))
return 0
