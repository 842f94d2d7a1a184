--[[
  Replaces the summary of a client's checks of a tag on a day, if none was counted since it was read.

  KEYS: the summary, those of the shard, through which day they are closed
  ARGV: member, length of its ids as read, start of its day ms, the row, ids to append, most summaries, life ms
  Returns: 1 done; 0 another was faster; 2 the day is over; 3 there are too many.

  Fields: r row (check-rows.ts), i ids of the checks in it, 6 bytes each.
]]
local rcall = redis.call
if tonumber(ARGV[3]) < tonumber(rcall('GET', KEYS[3]) or 0) then return 2 end
local ids = rcall('HGET', KEYS[1], 'i') or ''
if #ids ~= tonumber(ARGV[2]) then return 0 end
if ids == '' and rcall('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 3 end
rcall('HSET', KEYS[1], 'r', ARGV[4], 'i', ids .. ARGV[5])
rcall('PEXPIRE', KEYS[1], ARGV[7])
rcall('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
