--[[
  Claims those of the named sessions that are due and free, or whose lease ran out, and reads them.

  KEYS: due, leased, then for each session: its hash, its tombstone
  ARGV: watermark ms, length of the lease ms, owner, then for each session: member
  Returns: for each claimed session: its index (from 0), what is remembered of its events (or false), its fields.
]]
local rcall = redis.call
local watermark, lease, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = rcall('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local claimed = {}
for index = 0, (#KEYS - 2) / 2 - 1 do
  local session, tomb, member = KEYS[3 + 2 * index], KEYS[4 + 2 * index], ARGV[4 + index]
  local due = rcall('ZSCORE', KEYS[1], member)
  local leased = rcall('ZSCORE', KEYS[2], member)
  if (due and tonumber(due) <= watermark) or (leased and tonumber(leased) <= now) then
    rcall('ZREM', KEYS[1], member)
    if rcall('EXISTS', session) == 0 then
      rcall('ZREM', KEYS[2], member)
    else
      rcall('ZADD', KEYS[2], now + lease, member)
      rcall('HSET', session, 'o', owner)
      claimed[#claimed + 1] = index
      claimed[#claimed + 1] = rcall('HGET', tomb, 'd')
      claimed[#claimed + 1] = rcall('HGETALL', session)
    end
  end
end
return claimed
