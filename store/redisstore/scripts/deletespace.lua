local early = before()
if early then return early end
local when, body = take(), take()
local old = redis.call('HMGET', settings, 'version', 'epoch', 'request', 'deleted', 'body')
if old[3] == request then return 'ok' end
if old[4] then return 'missing' end
local all = redis.call('HGETALL', keys)
for i = 1, #all, 2 do entomb(all[i], all[i + 1], when) end
redis.call('UNLINK', keys, used, created, names)
-- The record stays as it was but for its last instant, which is its first
-- field.
if old[5] then body = when .. string.match(old[5], '^[^ ]*(.*)$') end
redis.call('HSET', settings, 'version', following(old[1] or '0'), 'epoch', raised(old[2] or '0'),
  'request', request, 'deleted', '1', 'body', body)
return written()
