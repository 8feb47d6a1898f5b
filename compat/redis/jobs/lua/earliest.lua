-- What scripts share that keep a sorted set of others, each by its earliest score:
-- partitions by their first lease, accounts by their first partition.

local function earliest(key)
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return first[1] and tonumber(first[2])
end

-- Sets the place in sets of the member whose own set that is; an empty one has none.
local function refresh(sets, set, member)
  local first = earliest(set)
  if first then
    redis.call('ZADD', sets, first, member)
  else
    redis.call('ZREM', sets, member)
  end
end

