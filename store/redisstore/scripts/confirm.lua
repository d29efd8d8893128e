-- Makes a pointer lasting: KEYS[1]; ARGV: the pending and the lasting value.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] and found ~= ARGV[2] then return 'lost' end
redis.call('SET', KEYS[1], ARGV[2])
return 'ok'
