-- Replaces the ring of signing keys of the given version.
local version, body = take(), take()
if (redis.call('HGET', ring, 'version') or '0') ~= version then return 'conflict' end
redis.call('HSET', ring, 'version', following(version), 'body', body)
return commit()
