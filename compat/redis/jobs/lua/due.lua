-- Lists the partitions that are to be visited. KEYS: pointers, partitions. ARGV:
-- until, most, what the names of migration locks begin with, which are of the same
-- hash tag. Returns name, partition and lock of each, '' for one that is not there.
local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local answer = {}
for _, name in ipairs(names) do
  answer[#answer + 1] = name
  answer[#answer + 1] = redis.call('HGET', KEYS[2], name) or ''
  answer[#answer + 1] = redis.call('MGET', ARGV[3] .. name)[1] or ''
end
return answer
