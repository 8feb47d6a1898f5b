-- Says of an idempotency key that its run has ended (redis-state 5.8, "Delete
-- run"). KEYS: key. ARGV: value. Returns 0.
redis.call('SET', KEYS[1], ARGV[1], 'XX', 'KEEPTTL')
return 0
