-- Tells whether a run has items. KEYS: the run's index. 0 it has none, 1 it has.
return redis.call('EXISTS', KEYS[1])
