--[[
  Decides whether a session goes on with a pull that another began, once and for good: the first decision stays.

  KEYS: renewed (see add-joins.lua)
  ARGV: session (16 bytes), that of the pull (16 bytes; '-' none)
  Returns: what was decided; false: the session is not known there.
]]
local rcall = redis.call
local value = rcall('HGET', KEYS[1], ARGV[1])
if not value then return false end
if #value > 14 then return string.sub(value, 15) end
rcall('HSET', KEYS[1], ARGV[1], value .. ARGV[2])
return ARGV[2]
