-- What the scripts of limits share (redis-queue 10). Constraints come as lists of
-- arguments of eight each, see constraintsOf in limits.go: kind, limit, period,
-- burst, weight, release, and the positions of two keys. Numbers of time are in
-- the unit of the constraint: ms for throttles, ns for rate limits.

local CONCURRENCY, THROTTLE, RATE, SEMAPHORE = '2', '3', '1', '4'
local FIELDS = 8

local function constraint(n, from)
  local at = from + (n - 1) * FIELDS
  return {
    kind = ARGV[at], limit = tonumber(ARGV[at + 1]), period = tonumber(ARGV[at + 2]), burst = tonumber(ARGV[at + 3]),
    weight = tonumber(ARGV[at + 4]), release = ARGV[at + 5], key = KEYS[tonumber(ARGV[at + 6])],
    other = KEYS[tonumber(ARGV[at + 7])],
  }
end

local function number(key)
  return tonumber(redis.call('GET', key) or '0') or 0
end

-- The theoretical arrival time of a throttle or rate limit, after a unit more.
local function arrival(c, now)
  local emission = c.period / math.max(c.limit, 1)
  local stored = tonumber(redis.call('GET', c.key) or '') or now
  local window = emission * (c.burst + 1)
  return math.max(stored, now) + emission, window
end

-- Returns how much is free of a constraint and, for one that is exhausted, when
-- in ms to ask again.
local function free(c, nowMS, nowNS)
  if c.kind == CONCURRENCY then
    return c.limit - redis.call('ZCOUNT', c.key, nowMS, '+inf'), nowMS + 2000
  end
  if c.kind == SEMAPHORE then
    return math.floor((number(c.other) - number(c.key)) / math.max(c.weight, 1)), 0
  end
  local now, unit = nowMS, 1
  if c.kind == RATE then
    now, unit = nowNS, 1000000
  end
  local next, window = arrival(c, now)
  if now >= next - window then
    return 1, 0
  end
  return 0, math.ceil((next - window) / unit)
end

-- Takes a unit of a constraint.
local function take(c, nowMS, nowNS, lease, leaseEnd)
  if c.kind == CONCURRENCY then
    redis.call('ZADD', c.key, leaseEnd, lease)
  elseif c.kind == SEMAPHORE then
    redis.call('SET', c.key, string.format('%d', number(c.key) + c.weight), 'KEEPTTL')
  else
    local now, second = nowMS, 1000
    if c.kind == RATE then
      now, second = nowNS, 1000000000
    end
    local next = arrival(c, now)
    redis.call('SET', c.key, next, 'EX', math.max(math.floor((next - now) / second), 1))
  end
end

-- Gives back what was taken of a constraint for a lease.
local function give(c, lease, forced)
  if c.kind == CONCURRENCY then
    redis.call('ZREM', c.key, lease)
  elseif c.kind == SEMAPHORE and (c.release == '0' or forced) then
    local left = number(c.key) - c.weight
    if redis.call('EXISTS', c.key) == 1 then
      redis.call('SET', c.key, math.max(left, 0), 'KEEPTTL')
    end
  end
end
