-- Tells whether a run has pauses. KEYS: the run's pauses. 0 it has none, 1 it has.
return redis.call('EXISTS', KEYS[1])
