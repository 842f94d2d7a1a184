--[[
  Reads hashes of one shard.

  KEYS: hashes
  Returns: of each its fields and values.
]]
local answer = {}
for at, key in ipairs(KEYS) do answer[at] = redis.call('HGETALL', key) end
return answer
