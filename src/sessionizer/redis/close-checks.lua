--[[
  Closes days: from now on their summaries stay as they are.

  KEYS: summaries of the shard, through which day they are closed
  ARGV: start of the first day that is not over ms, most summaries that are named
  Returns: members of days that are over.
]]
local rcall = redis.call
local through = math.max(tonumber(ARGV[1]), tonumber(rcall('GET', KEYS[2]) or 0))
rcall('SET', KEYS[2], string.format('%.0f', through))
return rcall('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', through), 'LIMIT', 0, ARGV[2])
