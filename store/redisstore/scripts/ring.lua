-- KEYS[1]; ARGV: request, version, body.
local old = redis.call('HMGET', KEYS[1], 'version', 'request')
if old[2] == ARGV[1] then return 'ok' end
if (old[1] or '0') ~= ARGV[2] then return 'conflict' end
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', tonumber(ARGV[2]) + 1), 'request', ARGV[1], 'body', ARGV[3])
return 'ok'
