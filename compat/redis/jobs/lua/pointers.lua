-- What the scripts of the queue share. A script that moves pointers has for its
-- first keys: items, partitions, pointers, the account's pointers, accounts.

local ITEMS, PARTITIONS, POINTERS, ACCOUNT_POINTERS, ACCOUNTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- Sets when a partition is to be visited, in seconds (redis-queue 9). account is
-- '' for none.
local function point(partition, account, seconds)
  if seconds <= 0 then
    return
  end
  redis.call('ZADD', POINTERS, seconds, partition)
  if account ~= '' then
    redis.call('ZADD', ACCOUNT_POINTERS, seconds, partition)
    refresh(ACCOUNTS, ACCOUNT_POINTERS, account)
  end
end

-- Reads a partition; fresh is what it is when it cannot be read.
local function readPartition(partition, fresh)
  local text = redis.call('HGET', PARTITIONS, partition)
  if not text then
    return nil
  end
  local good, value = pcall(cjson.decode, text)
  if good and type(value) == 'table' then
    return value
  end
  return cjson.decode(fresh)
end

local function writePartition(partition, value)
  redis.call('HSET', PARTITIONS, partition, cjson.encode(value))
end

-- Whether a partition must not be pulled forward yet.
local function forced(partition, now)
  local text = redis.call('HGET', PARTITIONS, partition)
  local good, value = pcall(cjson.decode, text or '')
  return good and type(value) == 'table' and type(value.forceAtMS) == 'number' and value.forceAtMS >= now
end
