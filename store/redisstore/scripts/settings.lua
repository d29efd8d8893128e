-- Saves the settings of a workspace or of the instance.
local early = before()
if early then return early end
local version, ends, body = take(), take(), take()
local old = redis.call('HMGET', settings, 'version', 'epoch', 'request', 'deleted')
if old[3] == request then return 'ok' end
if old[4] then return 'missing' end
if (old[1] or '0') ~= version then return 'conflict' end
local epoch = old[2] or '0'
if ends == '1' then epoch = raised(epoch) end
redis.call('HSET', settings, 'version', following(version), 'epoch', epoch,
  'request', request, 'body', body)
return written()
