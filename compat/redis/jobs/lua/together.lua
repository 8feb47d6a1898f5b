-- Does operations in order and gives their answers. KEYS and ARGV: see together.go.
local function some(list, from, count)
  local part = {}
  for i = 1, count do
    part[i] = list[from + i - 1]
  end
  return part
end
local count = tonumber(ARGV[1])
local key, argument, codes = 1, 2 + 3 * count, {}
for n = 1, count do
  local at = 3 * n - 1
  local keys, arguments = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  codes[n] = operations[tonumber(ARGV[at])](some(KEYS, key, keys), some(ARGV, argument, arguments))
  key, argument = key + keys, argument + arguments
end
return codes
