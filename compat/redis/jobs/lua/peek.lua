-- Reads ready items in order. KEYS: items, ready. ARGV: until, offset, most. Returns
-- id, score and item of each, '' for one that is not there.
local line = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local answer = {}
for i = 1, #line, 2 do
  answer[#answer + 1] = line[i]
  answer[#answer + 1] = line[i + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[1], line[i]) or ''
end
return answer
