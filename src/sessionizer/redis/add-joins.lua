--[[
  Writes manifest requests into what one shard keeps of clients and repositories. Into the join index, of token
  sessions: of each the first HEAD, the first GET by digest and the first GET by tag; what was decided stays decided.
  Into those of renewed tokens: the first blob of a session of which no manifest request is known that began before.
  Into the attempts, of all sessions: for each tag when it was asked for first, and when it was answered first.
  Idempotent.

  KEYS: for each client and repository: undecided, decided, attempts, renewed
  ARGV: life of the undecided ms, life of attempts ms, most attempts, life of renewed tokens ms, most of them,
        then for each client and repository: number of entries, number of blobs, number of attempts,
        for each entry: its name (kind and session, see join-index.ts), time (6 bytes, big-endian) and digest (8),
        for each blob: its session (16 bytes), time and digest,
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

local timeBytes = 6
-- Time and digest; what follows is the decision (decide-renewal.lua).
local undecidedBytes = 14

local function isBegun(open, decided, session, time)
  if rcall('ZSCORE', decided, 'm' .. session) then return true end
  for _, value in pairs(rcall('HMGET', open, 'a' .. session, 'b' .. session, 'c' .. session)) do
    if value and not isBefore(time, string.sub(value, 1, timeBytes)) then return true end
  end
  return false
end

local most = tonumber(ARGV[3])
local at = 6
for index = 0, #KEYS / 4 - 1 do
  local open, decided, tried = KEYS[1 + 4 * index], KEYS[2 + 4 * index], KEYS[3 + 4 * index]
  local renewed = KEYS[4 + 4 * index]
  local entries, blobs, attempts = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  local hasRenewed = rcall('EXISTS', renewed) == 1
  for entry = at, at + 2 * (entries - 1), 2 do
    local name, value = ARGV[entry], ARGV[entry + 1]
    if not rcall('ZSCORE', decided, name) then
      local known = rcall('HGET', open, name)
      if not known or isBefore(value, known) then rcall('HSET', open, name, value) end
    end
    local blob = hasRenewed and rcall('HGET', renewed, string.sub(name, 2))
    if blob and #blob == undecidedBytes then
      local time = string.sub(value, 1, timeBytes)
      if not isBefore(string.sub(blob, 1, timeBytes), time) then rcall('HDEL', renewed, string.sub(name, 2)) end
    end
  end
  if entries > 0 then rcall('PEXPIRE', open, ARGV[1]) end
  at = at + 2 * entries
  for blob = at, at + 2 * (blobs - 1), 2 do
    local session, value = ARGV[blob], ARGV[blob + 1]
    local known = rcall('HGET', renewed, session)
    local isFirst = known and #known == undecidedBytes and isBefore(value, known)
    if not known then
      isFirst = not isBegun(open, decided, session, string.sub(value, 1, timeBytes))
        and rcall('HLEN', renewed) < tonumber(ARGV[5])
    end
    if isFirst then
      rcall('HSET', renewed, session, value)
      rcall('PEXPIRE', renewed, ARGV[4])
    end
  end
  at = at + 2 * blobs
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
