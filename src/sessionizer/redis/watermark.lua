--[[
  Publishes a node's watermark and finds the lowest of the nodes that published lately.

  KEYS: nodes
  ARGV: node ('' only asks), its watermark ms, life of an entry ms
  Returns: the lowest watermark ms as text; false without any.
]]
local rcall = redis.call
local time = rcall('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[3])
if ARGV[1] ~= '' then
  rcall('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f', tonumber(ARGV[2]), now))
  rcall('PEXPIRE', KEYS[1], life)
end
local lowest = false
local nodes = rcall('HGETALL', KEYS[1])
for at = 1, #nodes, 2 do
  local oldest, seen = string.match(nodes[at + 1], '^(%S+) (%S+)$')
  if not seen or tonumber(seen) + life < now then
    rcall('HDEL', KEYS[1], nodes[at])
  elseif not lowest or tonumber(oldest) < lowest then
    lowest = tonumber(oldest)
  end
end
return lowest and string.format('%.0f', lowest)
