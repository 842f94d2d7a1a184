--[[
  Begins to thin a repository's tags: from now on sights before the horizon are refused, so that those there are
  stay as they are until what need not be kept is deleted.

  KEYS: those to be thinned, the repository's hash
  ARGV: member, horizon ms
  Returns: all fields and values.
]]
local rcall = redis.call
rcall('ZREM', KEYS[1], ARGV[1])
local rows = rcall('HGETALL', KEYS[2])
if #rows > 0 and tonumber(rcall('HGET', KEYS[2], 'h') or 0) < tonumber(ARGV[2]) then
  rcall('HSET', KEYS[2], 'h', ARGV[2])
end
return rows
