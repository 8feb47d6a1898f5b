-- Says what has become of a run that its app began. KEYS: metadata. ARGV: field,
-- value. 0 saved, 1 no run.
if redis.call('HEXISTS', KEYS[1], 'id') == 0 then
  return 1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 0
