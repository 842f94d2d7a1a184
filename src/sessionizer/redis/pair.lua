--[[
  Decides which HEADs and GETs of two tokens are one pull, by the rule of join-index.ts, and answers for one
  session. Decided entries leave the hash for a sorted set (score: time), so that a repeat gets the same answer;
  with them stand 'P' name partner, and 'm' session for those that take part in no join any more.

  KEYS: undecided (see add-joins.lua), decided
  ARGV: time up to which all is known ms, longest time from HEAD to GET ms, life of decisions ms,
        then the names asked about
  Returns: for each of them that was paired: its number (from 0), the partner's session.
]]
local rcall = redis.call
local open, decided = KEYS[1], KEYS[2]
local upTo, window, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local entries = {}
local rows = rcall('HGETALL', open)
for row = 1, #rows, 2 do
  local name, time = rows[row], 0
  for at = 1, 6 do time = time * 256 + string.byte(rows[row + 1], at) end
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
  for at = #heads, 1, -1 do
    if isWanted(heads[at]) then return table.remove(heads, at) end
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
if #entries > 0 then
  rcall('ZREMRANGEBYSCORE', decided, '-inf', upTo - life)
  rcall('PEXPIRE', decided, life)
end

local answer = {}
for at = 4, #ARGV do
  local time = rcall('ZSCORE', decided, ARGV[at])
  local prefix = 'P' .. ARGV[at]
  for _, row in ipairs(time and rcall('ZRANGEBYSCORE', decided, time, time) or {}) do
    if string.sub(row, 1, #prefix) == prefix then
      answer[#answer + 1] = at - 4
      answer[#answer + 1] = string.sub(row, #prefix + 1)
    end
  end
end
return answer
