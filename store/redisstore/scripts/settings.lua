-- Saves the settings of a workspace or of the instance.
local early = before()
if early then return early end
local version, epoch, body = take(), take(), take()
local old = redis.call('HMGET', settings, 'version', 'epoch', 'request', 'deleted')
if old[3] == request then return 'ok' end
if old[4] then return 'missing' end
if (old[1] or '0') ~= version then return 'conflict' end
redis.call('HSET', settings, 'version', following(version), 'epoch', larger(old[2] or '0', epoch),
  'request', request, 'body', body)
return written()
