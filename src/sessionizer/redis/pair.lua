--[[
  Decides which HEADs and GETs of two tokens are one pull, by the rule of join-index.ts, and answers for sessions whose
  clients and repositories lie in one shard. Decided entries leave the hash for a sorted set (score: time), so that a
  repeat gets the same answer; with them stand 'P' name partner, and 'm' session for those that take part in no join any
  more.

  KEYS: for each session that asks: undecided, decided, renewed (see add-joins.lua)
  ARGV: time up to which all is known ms, longest time from HEAD to GET ms, life of decisions ms, life of undecided
        renewals ms, then for each that asks: the session (16 bytes), until when another may go on with what it began
        ms, number of names, the names asked about
  Returns: for each that asks: for each of its names that was paired: its number (from 0), the partner's session; then
        what is known of renewed tokens up to that time: session, value in turn.
]]
local rcall = redis.call
local upTo, window, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local longest = tonumber(ARGV[4])

local function timeOf(value)
  local time = 0
  for at = 1, 6 do time = time * 256 + string.byte(value, at) end
  return time
end

local function answerOne(open, decided, renewed, asking, keep, first, last)
  local entries = {}
  local rows = rcall('HGETALL', open)
  for row = 1, #rows, 2 do
    local name, time = rows[row], timeOf(rows[row + 1])
    if time <= upTo then
      entries[#entries + 1] = {
        name = name,
        kind = string.sub(name, 1, 1),
        session = string.sub(name, 2),
        digest = string.sub(rows[row + 1], 7),
        time = time,
      }
    end
  end
  -- By time, then name; not by the operators, which compare by the locale.
  table.sort(entries, function(a, b)
    if a.time ~= b.time then return a.time < b.time end
    for at = 1, #a.name do
      local x, y = string.byte(a.name, at), string.byte(b.name, at)
      if x ~= y then return x < y end
    end
    return false
  end)

  local heads = {}

  local function settle(entry, partner)
    rcall('HDEL', open, entry.name)
    rcall('ZADD', decided, entry.time, entry.name)
    if partner then rcall('ZADD', decided, entry.time, 'P' .. entry.name .. partner) end
  end

  local function mark(session, time)
    rcall('ZADD', decided, 'NX', time, 'm' .. session)
  end

  local function takeHead(isWanted)
    for at, head in ipairs(heads) do
      if isWanted(head) then return table.remove(heads, at) end
    end
  end

  for _, entry in ipairs(entries) do
    if rcall('ZSCORE', decided, 'm' .. entry.session) then
      settle(entry)
    elseif entry.kind == 'a' then
      heads[#heads + 1] = entry
    else
      mark(entry.session, entry.time)
      local own = takeHead(function(head) return head.session == entry.session end)
      local found
      if own then
        settle(own)
      elseif entry.kind == 'b' then
        found = takeHead(function(head) return head.digest == entry.digest and head.time >= entry.time - window end)
      end
      settle(entry, found and found.session)
      if found then
        settle(found, entry.session)
        mark(found.session, entry.time)
      end
    end
  end
  for _, head in ipairs(heads) do
    if head.time + window <= upTo then
      settle(head)
      mark(head.session, head.time)
    end
  end

  local pairs = {}
  for at = first, last do
    local time = rcall('ZSCORE', decided, ARGV[at])
    local prefix = 'P' .. ARGV[at]
    for _, row in ipairs(time and rcall('ZRANGEBYSCORE', decided, time, time) or {}) do
      if string.sub(row, 1, #prefix) == prefix then
        pairs[#pairs + 1] = at - first
        pairs[#pairs + 1] = string.sub(row, #prefix + 1)
      end
    end
  end

  -- A pull that takes longer than decisions live is found as long as it goes on.
  local marked = last >= first and rcall('ZSCORE', decided, 'm' .. asking)
  local isKept = marked and tonumber(marked) < keep
  if isKept then rcall('ZADD', decided, keep, 'm' .. asking) end
  -- After the answer, which may be the first for a long time.
  if #entries > 0 or isKept then
    rcall('ZREMRANGEBYSCORE', decided, '-inf', upTo - life)
    rcall('PEXPIRE', decided, math.max(life, keep - upTo + life))
  end

  local renewals = {}
  rows = rcall('HGETALL', renewed)
  for row = 1, #rows, 2 do
    local time = timeOf(rows[row + 1])
    if time <= upTo then
      renewals[#renewals + 1] = rows[row]
      renewals[#renewals + 1] = rows[row + 1]
    end
    if time <= upTo - (#rows[row + 1] > 14 and life or longest) then rcall('HDEL', renewed, rows[row]) end
  end
  return { pairs, renewals }
end

local answers, at = {}, 5
for key = 1, #KEYS, 3 do
  local last = at + 2 + tonumber(ARGV[at + 2])
  local keep = tonumber(ARGV[at + 1])
  answers[#answers + 1] = answerOne(KEYS[key], KEYS[key + 1], KEYS[key + 2], ARGV[at], keep, at + 3, last)
  at = last + 1
end
return answers
