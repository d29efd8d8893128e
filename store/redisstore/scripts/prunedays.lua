-- KEYS: the set of days; ARGV: prefix of a day's key, the first day to stay.
local pruned = 0
for _, day in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if tonumber(day) < tonumber(ARGV[2]) then
    pruned = pruned + redis.call('HLEN', ARGV[1] .. day)
    redis.call('UNLINK', ARGV[1] .. day)
    redis.call('SREM', KEYS[1], day)
  end
end
return pruned
