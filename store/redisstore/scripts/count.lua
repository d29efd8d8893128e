-- Adds to the counters of a key and day. KEYS: the set of days, the day's counters, the
-- receipt of this request; ARGV: the day, the field, logins, refusals.
if redis.call('SET', KEYS[3], '1', 'PX', 60000, 'NX') == false then return 'ok' end
redis.call('SADD', KEYS[1], ARGV[1])
local logins, refusals = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '0 0', '^(%S+) (%S+)$')
redis.call('HSET', KEYS[2], ARGV[2], string.format('%.0f %.0f', tonumber(logins) + tonumber(ARGV[3]), tonumber(refusals) + tonumber(ARGV[4])))
return 'ok'
