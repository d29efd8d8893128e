-- Removes events, and answers how many were there.
local pruned = 0
for _, e in ipairs(takeAll(3)) do
  pruned = pruned + redis.call('HDEL', events, e[1])
  redis.call('ZREM', log, e[2])
  if e[3] ~= '0' then redis.call('ZREM', KEYS[tonumber(e[3])], e[2]) end
end
return pruned
