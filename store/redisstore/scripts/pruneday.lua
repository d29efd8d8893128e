-- Removes the counters of a day, and answers how many there were. KEYS: the
-- set of days, the day's counters; ARGV: the day.
local number = redis.call('HLEN', KEYS[2])
redis.call('UNLINK', KEYS[2])
redis.call('SREM', KEYS[1], ARGV[1])
return number
