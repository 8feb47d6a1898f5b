-- Lists the pauses of a run. KEYS: the run's pauses.
return redis.call('SMEMBERS', KEYS[1])
