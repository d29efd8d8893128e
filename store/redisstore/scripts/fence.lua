-- Tells whether a change was made; if not, makes sure that it never will be.
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], 'void', 'PX', ARGV[1])
return 'void'
