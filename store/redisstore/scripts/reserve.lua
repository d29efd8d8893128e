-- Takes a pointer: KEYS[1]; ARGV: the new value, its time to live, the value
-- that may be replaced. One that is pending for the same workspace may be, too:
-- the script of its space decides between creations. Answers 'ok' or the value
-- that stands in the way.
local function pending(value) return string.match(value, '^%? [^ ]* (.*)$') end
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[3] and pending(found) ~= pending(ARGV[1]) then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'ok'
