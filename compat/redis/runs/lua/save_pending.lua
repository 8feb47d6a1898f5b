-- Replaces the steps that are planned together (redis-state 5.8, "Save pending").
-- Those that have finished are left out: the plan may be stored a second time.
-- KEYS: pending, actions. ARGV: steps.
redis.call('DEL', KEYS[1])
for _, step in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[2], step) == 0 then
    redis.call('SADD', KEYS[1], step)
  end
end
return 0
