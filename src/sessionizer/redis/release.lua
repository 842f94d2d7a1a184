--[[
  Gives a claim back; the session stays as it is.

  KEYS: due, leased, session
  ARGV: member, owner, check ms
  Returns: 1 done; 0 the lease was lost.
]]
local rcall = redis.call
if rcall('HGET', KEYS[3], 'o') ~= ARGV[2] then return 0 end
rcall('HDEL', KEYS[3], 'o', 'k')
rcall('ZREM', KEYS[2], ARGV[1])
rcall('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
