--[[
  Writes manifest requests of token sessions into the join index of one shard: of each session the first HEAD,
  the first GET by digest and the first GET by tag. Idempotent; what was decided stays decided.

  KEYS: for each client and repository: undecided, decided
  ARGV: life of the undecided ms, then for each client and repository: number of entries,
        for each entry: its name (kind and session, see join-index.ts), time (6 bytes, big-endian) and digest (8)
]]
local rcall = redis.call

-- Not by the operators: they compare by the locale.
local function isBefore(a, b)
  for at = 1, #a do
    local x, y = string.byte(a, at), string.byte(b, at)
    if x ~= y then return x < y end
  end
  return false
end

local at = 2
for index = 0, #KEYS / 2 - 1 do
  local open, decided = KEYS[1 + 2 * index], KEYS[2 + 2 * index]
  local entries = tonumber(ARGV[at])
  for entry = at + 1, at + 2 * entries, 2 do
    local name, value = ARGV[entry], ARGV[entry + 1]
    if not rcall('ZSCORE', decided, name) then
      local known = rcall('HGET', open, name)
      if not known or isBefore(value, known) then rcall('HSET', open, name, value) end
    end
  end
  rcall('PEXPIRE', open, ARGV[1])
  at = at + 1 + 2 * entries
end
return 0
