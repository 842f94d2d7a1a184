--[[
  Ends claims of sessions of one shard: deletes the facts that were counted, remembers their ids in the tombstones, and
  leaves what came meanwhile open. A record's heartbeat and end share the id and go together.

  KEYS: due, leased, then for each session: its hash, its tombstone
  ARGV: watermark ms, life of tombstones ms, then for each session: member, owner, arrivals as loaded, closed through ms
        ('' facts remain), what is to be remembered of its events ('' as before), check ms ('' nothing
        remains, 'now' more facts are there than were read),
        first ms, last ms, flags of what remains ('' nothing), number of id groups,
        then for each group: first 14 bytes of the ids, last two bytes of each, concatenated
  Returns: for each session: 1 done; 0 the lease was lost, nothing changed.
]]
local rcall = redis.call
local due, leased = KEYS[1], KEYS[2]
local watermark, life = ARGV[1], ARGV[2]

local function close(session, tomb, at, groups)
  local member, through, traces, check = ARGV[at], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  if rcall('HGET', session, 'o') ~= ARGV[at + 1] then return 0 end

  local removed, fields = 0, {}
  for group = at + 10, at + 8 + 2 * groups, 2 do
    local head, lows = ARGV[group], ARGV[group + 1]
    local ids = {}
    for low = 1, #lows, 2 do
      local id = head .. string.sub(lows, low, low + 1)
      ids[#ids + 1] = id
      ids[#ids + 1] = id .. 'h'
      if #ids >= 1000 or low + 1 >= #lows then
        removed = removed + rcall('HDEL', session, unpack(ids))
        ids = {}
      end
    end
    fields[#fields + 1] = head
    fields[#fields + 1] = (rcall('HGET', tomb, head) or '') .. lows
    if #fields >= 1000 then
      rcall('HSET', tomb, unpack(fields))
      fields = {}
    end
  end
  if groups > 0 then
    fields[#fields + 1] = through ~= '' and 'f' or 'w'
    fields[#fields + 1] = through ~= '' and through or watermark
    if traces ~= '' then
      fields[#fields + 1] = 'd'
      fields[#fields + 1] = traces
    end
    rcall('HSET', tomb, unpack(fields))
    rcall('PEXPIRE', tomb, life)
  end

  rcall('ZREM', leased, member)
  local meta = rcall('HMGET', session, 'q', 'n', 'k')
  local held = tonumber(meta[1]) - removed
  if held <= 0 then
    rcall('DEL', session)
    rcall('ZREM', due, member)
    return 1
  end
  local arrivals = tonumber(ARGV[at + 2])
  local next = check
  if check == 'now' then
    next = watermark
  elseif tonumber(meta[2]) ~= arrivals or check == '' then
    next = meta[3] or watermark
  else
    rcall('HSET', session, 'f', ARGV[at + 6], 'l', ARGV[at + 7], 'g', ARGV[at + 8])
  end
  rcall('HSET', session, 'q', held, 'n', tonumber(meta[2]) - arrivals, 'p', watermark)
  rcall('HDEL', session, 'o', 'k')
  rcall('ZADD', due, next, member)
  return 1
end

local answers, at = {}, 3
for key = 3, #KEYS, 2 do
  local groups = tonumber(ARGV[at + 9])
  answers[#answers + 1] = close(KEYS[key], KEYS[key + 1], at, groups)
  at = at + 10 + 2 * groups
end
return answers
