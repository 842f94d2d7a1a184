--[[
  Claims those of the named sessions that are due and free, or whose lease ran out, and reads them.

  KEYS: due, leased, then for each session: its hash, its tombstone
  ARGV: watermark ms, length of the lease ms, owner, facts after which no more sessions are read, facts of the
        largest session that is claimed, most facts that are read of a session: those that began first, and what
        began in the same ms; then for each session: member
  Returns: for each claimed session: its index (from 0), what is remembered of its events and the member that it
        redirects to (false: nothing), its fields;
        for each that is due and too large: its index, twice false.
]]
local rcall = redis.call
local watermark, lease, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local budget, largest, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = rcall('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Bytes 6 to 11 of a fact, see fact-codec.ts.
local function startOf(value)
  if #value < 12 then return 0 end
  local start = 0
  for at = 7, 12 do start = start * 256 + string.byte(value, at) end
  return start
end

local function takeOldest(fields)
  local starts = {}
  for at = 1, #fields, 2 do
    if #fields[at] >= 16 then starts[#starts + 1] = startOf(fields[at + 1]) end
  end
  if #starts <= most then return fields end
  table.sort(starts)
  local kept = {}
  for at = 1, #fields, 2 do
    if #fields[at] < 16 or startOf(fields[at + 1]) <= starts[most] then
      kept[#kept + 1] = fields[at]
      kept[#kept + 1] = fields[at + 1]
    end
  end
  return kept
end

local answer, facts = {}, 0
for index = 0, (#KEYS - 2) / 2 - 1 do
  if facts >= budget then break end
  local session, tomb, member = KEYS[3 + 2 * index], KEYS[4 + 2 * index], ARGV[7 + index]
  local due = rcall('ZSCORE', KEYS[1], member)
  local leased = rcall('ZSCORE', KEYS[2], member)
  if (due and tonumber(due) <= watermark) or (leased and tonumber(leased) <= now) then
    local held = tonumber(rcall('HGET', session, 'q') or nil)
    if not held then
      rcall('ZREM', KEYS[1], member)
      rcall('ZREM', KEYS[2], member)
    elseif held > largest then
      answer[#answer + 1] = index
      answer[#answer + 1] = false
      answer[#answer + 1] = false
    else
      rcall('ZREM', KEYS[1], member)
      rcall('ZADD', KEYS[2], now + lease, member)
      rcall('HSET', session, 'o', owner)
      facts = facts + held
      answer[#answer + 1] = index
      answer[#answer + 1] = rcall('HMGET', tomb, 'd', 'r')
      answer[#answer + 1] = takeOldest(rcall('HGETALL', session))
    end
  end
end
return answer
