--[[
  Ends a claim: deletes the facts that were counted, remembers their ids in the tombstone, and leaves what
  came meanwhile open. A record's heartbeat and end share the id and go together.

  KEYS: due, leased, session, tombstone
  ARGV: member, owner, arrivals as loaded, watermark ms, closed through ms ('' facts remain), life of the
        tombstone ms, what is to be remembered of its events ('' as before), check ms ('' nothing
        remains, 'now' more facts are there than were read),
        first ms, last ms, flags of what remains ('' nothing), number of id groups,
        then for each group: first 14 bytes of the ids, last two bytes of each, concatenated
  Returns: 1 done; 0 the lease was lost, nothing changed.
]]
local rcall = redis.call
local due, leased, session, tomb = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local member = ARGV[1]
if rcall('HGET', session, 'o') ~= ARGV[2] then return 0 end

local groups = tonumber(ARGV[12])
local removed = 0
for group = 13, 12 + 2 * groups, 2 do
  local head, lows = ARGV[group], ARGV[group + 1]
  for at = 1, #lows, 2 do
    local id = head .. string.sub(lows, at, at + 1)
    removed = removed + rcall('HDEL', session, id, id .. 'h')
  end
  rcall('HSET', tomb, head, (rcall('HGET', tomb, head) or '') .. lows)
end
if groups > 0 then
  if ARGV[5] ~= '' then
    rcall('HSET', tomb, 'f', ARGV[5])
  else
    rcall('HSET', tomb, 'w', ARGV[4])
  end
  if ARGV[7] ~= '' then
    rcall('HSET', tomb, 'd', ARGV[7])
  end
  rcall('PEXPIRE', tomb, ARGV[6])
end

rcall('ZREM', leased, member)
local held = tonumber(rcall('HGET', session, 'q')) - removed
if held <= 0 then
  rcall('DEL', session)
  rcall('ZREM', due, member)
  return 1
end
local meta = rcall('HMGET', session, 'n', 'k')
local check = ARGV[8]
if ARGV[8] == 'now' then
  check = ARGV[4]
elseif tonumber(meta[1]) ~= tonumber(ARGV[3]) or ARGV[8] == '' then
  check = meta[2] or ARGV[4]
else
  rcall('HSET', session, 'f', ARGV[9], 'l', ARGV[10], 'g', ARGV[11])
end
rcall('HSET', session, 'q', held, 'n', tonumber(meta[1]) - tonumber(ARGV[3]), 'p', ARGV[4])
rcall('HDEL', session, 'o', 'k')
rcall('ZADD', due, check, member)
return 1
