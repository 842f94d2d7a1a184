--[[
  From now on the session redirects to another; takes facts that were copied there out of this one.

  KEYS: due, leased, session, tombstone
  ARGV: member, member of the other session, life of the tombstone ms, then the fields of the facts
  Returns: number of facts that came meanwhile and are still here.
]]
local rcall = redis.call
local due, leased, session, tomb = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
rcall('HSET', tomb, 'r', ARGV[2])
rcall('PEXPIRE', tomb, ARGV[3])
local held = tonumber(rcall('HGET', session, 'q') or 0)
for at = 4, #ARGV do
  held = held - rcall('HDEL', session, ARGV[at])
end
if held <= 0 then
  rcall('DEL', session)
  rcall('ZREM', due, ARGV[1])
  rcall('ZREM', leased, ARGV[1])
  return 0
end
rcall('HSET', session, 'q', held)
return held
