--[[
  Adds facts to the sessions of one shard. Idempotent: a fact is a field named by its record id (16 bytes), a
  heartbeat by the same and 'h'; a heartbeat gives way to a longer one and to the end of its request; what a
  tombstone holds is passed over.

  KEYS: due, then for each session: its hash, its tombstone
  ARGV: idle, idle of HEADs only, idle of builders, early wait, time between passes, facts between passes,
        longest session (times in ms);
        then for each session: member, number of contexts, number of facts,
          for each context chunk: field, value
          for each fact: field, start ms, end ms, flags (1 GET, 2 builder, 4 token, 8 heartbeat), value
  Returns: for each session that redirects: its index (from 0), the member it redirects to, the numbers (from 0) of
        its facts that were not counted before.

  Session fields: f first start, l last end, g flags, q facts held, n facts since the last pass, p last pass,
  o owner of the lease, k check that counts when the lease ends; c<id><n> chunk n of a context.
  Tombstone fields: first 14 bytes of a record id -> last two bytes of each; f closed through (starts),
  w closed up to (ends), d events (event-trace.ts), r member that everything goes to.
]]
local rcall = redis.call
local idle, idleHead, idleBuilder = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local early, passEvery, passFacts = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local longest = tonumber(ARGV[7])

local function isCounted(tomb, id)
  local lows = rcall('HGET', tomb, string.sub(id, 1, 14))
  if not lows then return false end
  local low, from = string.sub(id, 15, 16), 1
  while true do
    local at = string.find(lows, low, from, true)
    if not at then return false end
    if at % 2 == 1 then return true end
    from = at + 1
  end
end

-- The duration is the varint after the 12 bytes of fixed length.
local function duration(value)
  local result, factor, at = 0, 1, 13
  while true do
    local byte = string.byte(value, at)
    result = result + (byte % 128) * factor
    if byte < 128 then return result end
    factor, at = factor * 128, at + 1
  end
end

local function hasBit(value, bit) return math.floor(value / bit) % 2 == 1 end

local function orFlags(a, b)
  local result = 0
  for _, bit in ipairs({ 1, 2, 4, 8 }) do
    if hasBit(a, bit) or hasBit(b, bit) then result = result + bit end
  end
  return result
end

local function nextCheck(first, last, flags, isBusy, previous)
  local quiet = idle
  if not hasBit(flags, 1) then quiet = idleHead elseif hasBit(flags, 2) then quiet = idleBuilder end
  local wait = quiet
  if hasBit(flags, 1) and hasBit(flags, 4) then wait = math.min(early, quiet) end
  local check = last + wait
  if isBusy then check = math.min(check, last, previous or check) end
  return math.min(check, first + longest)
end

local redirects = {}
local at = 8
for index = 0, (#KEYS - 1) / 2 - 1 do
  local session, tomb = KEYS[2 + 2 * index], KEYS[3 + 2 * index]
  local member, contexts, facts = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local contextAt = at + 3
  local factAt = contextAt + 2 * contexts
  at = factAt + 5 * facts

  local grave = rcall('HMGET', tomb, 'r', 'f', 'w')
  local through, upTo = tonumber(grave[2] or nil), tonumber(grave[3] or nil)
  if grave[1] then
    redirects[#redirects + 1] = index
    redirects[#redirects + 1] = grave[1]
    -- What was counted before the others went: their new session knows nothing of it.
    local rest = {}
    for fact = 0, facts - 1 do
      if not isCounted(tomb, string.sub(ARGV[factAt + 5 * fact], 1, 16)) then rest[#rest + 1] = fact end
    end
    redirects[#redirects + 1] = rest
  else
    local meta = rcall('HMGET', session, 'f', 'l', 'g', 'q', 'n', 'p', 'o')
    local first, last, flags = tonumber(meta[1] or nil), tonumber(meta[2] or nil), tonumber(meta[3] or 0)
    local held, arrivals, pass = tonumber(meta[4] or 0), tonumber(meta[5] or 0), tonumber(meta[6] or nil)
    local changed = false
    for fact = factAt, factAt + 5 * (facts - 1), 5 do
      local field, start, stop = ARGV[fact], tonumber(ARGV[fact + 1]), tonumber(ARGV[fact + 2])
      local value = ARGV[fact + 4]
      local id = string.sub(field, 1, 16)
      local isBeat = #field > 16
      local take = not ((through or upTo) and isCounted(tomb, id))
      local beat = false
      if take then
        take = rcall('HEXISTS', session, id) == 0
      end
      if take then
        beat = rcall('HGET', session, id .. 'h')
        if isBeat and beat then take = duration(beat) < duration(value) end
      end
      if take then
        -- Not at the same ms: a watermark is the time of a record that is still to come.
        if (through and start < through) or (upTo and stop < upTo) then
          value = string.char(string.byte(value) + 128) .. string.sub(value, 2)
        end
        rcall('HSET', session, field, value)
        if beat and not isBeat then rcall('HDEL', session, id .. 'h') end
        if not beat then held = held + 1 end
        arrivals = arrivals + 1
        first = math.min(first or start, start)
        last = math.max(last or stop, stop)
        flags = orFlags(flags, tonumber(ARGV[fact + 3]))
        changed = true
      end
    end
    if changed then
      for context = contextAt, contextAt + 2 * (contexts - 1), 2 do
        rcall('HSETNX', session, ARGV[context], ARGV[context + 1])
      end
      rcall('HSET', session, 'f', first, 'l', last, 'g', flags, 'q', held, 'n', arrivals)
      local previous
      local isBusy = arrivals >= math.max(passFacts, held - arrivals) or last - (pass or first) >= passEvery
      if isBusy then previous = tonumber(rcall('ZSCORE', KEYS[1], member) or nil) end
      local check = nextCheck(first, last, flags, isBusy, previous)
      if meta[7] then rcall('HSET', session, 'k', check) else rcall('ZADD', KEYS[1], check, member) end
    end
  end
end
return redirects
