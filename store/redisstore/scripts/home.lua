-- Says where something is kept, the first time for good or for a while:
-- KEYS[1]; ARGV: the place, time to live or 0.
local found = redis.call('GET', KEYS[1])
if found then return found end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return ARGV[1]
