-- Removes events, and answers how many were there.
local ids = {}
for i, e in ipairs(takeAll(3)) do
  ids[i] = e[1]
  later('ZREM', log, e[2])
  if e[3] ~= '0' then later('ZREM', KEYS[tonumber(e[3])], e[2]) end
end
flush()
return redis.call('HDEL', events, unpack(ids))
