-- Does operations in order, up to the first that answers neither 0 nor a list, and
-- gives their answers. KEYS and ARGV: see chain.go; operations is before this.
local function some(list, from, count)
  local part = {}
  for i = 1, count do
    part[i] = list[from + i - 1]
  end
  return part
end
local count = tonumber(ARGV[1])
local key, argument, answers = 1, 2 + 4 * count, {}
for n = 1, count do
  local at = 4 * n - 2
  local keys, arguments = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local answer = operations[tonumber(ARGV[at])](some(KEYS, key, keys), some(ARGV, argument, arguments))
  answers[n] = answer
  if answer ~= 0 and type(answer) ~= 'table' and ARGV[at + 3] ~= '1' then
    break
  end
  key, argument = key + keys, argument + arguments
end
return answers
