-- Makes a pointer to a key lasting, unless it leads to another workspace by now:
-- KEYS[1]; ARGV: the lasting value.
local function workspace(value) return string.match(value, '^[^ ]* [^ ]* (.*)$') end
local found = redis.call('GET', KEYS[1])
if found and workspace(found) ~= workspace(ARGV[1]) then return 'lost' end
redis.call('SET', KEYS[1], ARGV[1])
return 'ok'
