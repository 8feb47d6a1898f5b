-- Reads the items of a run. KEYS: the run's index, items. Returns id, score and
-- item of each, '' for one that is not there.
local index = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local answer = {}
for i = 1, #index, 2 do
  answer[#answer + 1] = index[i]
  answer[#answer + 1] = index[i + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[2], index[i]) or ''
end
return answer
