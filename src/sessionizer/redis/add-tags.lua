--[[
  Notes which tag had which digest when, for upstream repositories of one shard: of each second the first sight.
  Idempotent.

  KEYS: those to be thinned, then for each repository: its hash
  ARGV: life ms, most rows,
        then for each repository: member, number of sights,
          for each: field (redis-session.ts), time ms, ms of it within its second
  Returns: the number of those that came after their time was thinned, or found no room.

  Fields: h sights before it are refused (ms); one for each second, digest and tag.
]]
local rcall = redis.call
local most = tonumber(ARGV[2])
local refused, at = 0, 3
for index = 2, #KEYS do
  local tags, member, sights = KEYS[index], ARGV[at], tonumber(ARGV[at + 1])
  local horizon = tonumber(rcall('HGET', tags, 'h') or 0)
  local held = rcall('HLEN', tags)
  local first = nil
  for sight = at + 2, at + 2 + 3 * (sights - 1), 3 do
    local field, time, within = ARGV[sight], tonumber(ARGV[sight + 1]), ARGV[sight + 2]
    if time < horizon or held >= most then
      refused = refused + 1
    else
      local known = rcall('HGET', tags, field)
      if not known then held = held + 1 end
      if not known or tonumber(within) < tonumber(known) then
        rcall('HSET', tags, field, within)
        first = math.min(first or time, time)
      end
    end
  end
  if first then
    rcall('PEXPIRE', tags, ARGV[1])
    rcall('ZADD', KEYS[1], 'NX', first, member)
  end
  at = at + 2 + 3 * sights
end
return refused
