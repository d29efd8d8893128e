-- Takes a pointer: KEYS[1]; ARGV: the new value, its time to live, the value
-- that may be replaced. Answers 'ok' or the value that stands in the way.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[3] and found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'ok'
