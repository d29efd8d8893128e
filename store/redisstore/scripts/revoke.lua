-- KEYS[1]; ARGV: until, time to live.
local found = redis.call('GET', KEYS[1])
if found and tonumber(found) >= tonumber(ARGV[1]) then return 'ok' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'ok'
