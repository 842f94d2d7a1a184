--[[
  Writes manifest requests into what one shard keeps of clients and repositories. Into the join index, of token
  sessions: of each the first HEAD, the first GET by digest and the first GET by tag; what was decided stays decided.
  Into the attempts, of all sessions: for each tag when it was asked for first, and when it was answered first.
  Idempotent.

  KEYS: for each client and repository: undecided, decided, attempts
  ARGV: life of the undecided ms, life of attempts ms, most attempts,
        then for each client and repository: number of entries, number of attempts,
        for each entry: its name (kind and session, see join-index.ts), time (6 bytes, big-endian) and digest (8),
        for each attempt: session (16 bytes) and tag, its two times (6 bytes each; never: all bits set)
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

local function earlier(a, b)
  if isBefore(a, b) then return a end
  return b
end

-- All but the newest. Seldom: when there are twice as many as may be.
local function trim(key, most)
  local rows = rcall('HGETALL', key)
  local names = {}
  for row = 1, #rows, 2 do
    names[#names + 1] = { rows[row], string.sub(rows[row + 1], 1, 6) }
  end
  table.sort(names, function(a, b)
    if a[2] ~= b[2] then return isBefore(a[2], b[2]) end
    return isBefore(a[1], b[1] .. string.rep('\0', #a[1]))
  end)
  for index = 1, #names - most do rcall('HDEL', key, names[index][1]) end
end

local most = tonumber(ARGV[3])
local at = 4
for index = 0, #KEYS / 3 - 1 do
  local open, decided, tried = KEYS[1 + 3 * index], KEYS[2 + 3 * index], KEYS[3 + 3 * index]
  local entries, attempts = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  for entry = at, at + 2 * (entries - 1), 2 do
    local name, value = ARGV[entry], ARGV[entry + 1]
    if not rcall('ZSCORE', decided, name) then
      local known = rcall('HGET', open, name)
      if not known or isBefore(value, known) then rcall('HSET', open, name, value) end
    end
  end
  if entries > 0 then rcall('PEXPIRE', open, ARGV[1]) end
  at = at + 2 * entries
  for attempt = at, at + 2 * (attempts - 1), 2 do
    local name, value = ARGV[attempt], ARGV[attempt + 1]
    local known = rcall('HGET', tried, name)
    if known then
      local asked = earlier(string.sub(value, 1, 6), string.sub(known, 1, 6))
      value = asked .. earlier(string.sub(value, 7), string.sub(known, 7))
    end
    if value ~= known then rcall('HSET', tried, name, value) end
  end
  if attempts > 0 then
    rcall('PEXPIRE', tried, ARGV[2])
    if rcall('HLEN', tried) > 2 * most then trim(tried, most) end
  end
  at = at + 2 * attempts
end
return 0
