-- Adds an event to the batch that collects (redis-state 11, "Append"). KEYS:
-- pointer, what keeps the event from being added twice. ARGV: event, a batch to
-- be made if there is none, what names of batches begin with, most events, most
-- bytes. Returns what became of it, and the batch, '' for none: new, append, full,
-- itemexists.
local batch = redis.call('GET', KEYS[1])
local name = ARGV[3] .. (batch or ARGV[2])
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', 1800) then
  if batch and redis.call('EXISTS', name) == 1 then
    return {'itemexists', batch}
  end
  return {'itemexists', ''}
end
if not batch then
  batch = ARGV[2]
  redis.call('SET', KEYS[1], batch)
end
redis.call('HSETNX', name .. ':metadata', 'status', 'Pending')
local length = redis.call('RPUSH', name, ARGV[1])
local bytes = redis.pcall('MEMORY', 'USAGE', name)
if length >= tonumber(ARGV[4]) or type(bytes) == 'number' and bytes >= tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[1])
  return {'full', batch}
end
return {length == 1 and 'new' or 'append', batch}
