-- Frees the key of a singleton that a run holds which has no jobs and is gone.
-- KEYS: the key, the run's singleton, the run's index. ARGV: run.
-- 1 freed, 0 it is not that run's, or the run has jobs.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
