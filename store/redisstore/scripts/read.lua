-- One key and the settings of its workspace, of one moment.
-- KEYS: keys, used, settings.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return false end
return {record, redis.call('HGET', KEYS[2], ARGV[1]),
  redis.call('HMGET', KEYS[3], 'version', 'epoch', 'body', 'deleted'), redis.call('HLEN', KEYS[1])}
