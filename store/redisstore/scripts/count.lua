-- Adds to counters by day. KEYS: the set of days, the receipt of this request, the
-- counters of each day; ARGV: how long to keep the receipt, then of each count: which
-- of the keys, day, field, logins, refusals.
if redis.call('SET', KEYS[2], '1', 'PX', ARGV[1], 'NX') == false then return 'ok' end
for i = 2, #ARGV, 5 do
  local day, field = KEYS[tonumber(ARGV[i])], ARGV[i + 2]
  redis.call('SADD', KEYS[1], ARGV[i + 1])
  local l, r = string.match(redis.call('HGET', day, field) or '0 0', '^(%S+) (%S+)$')
  redis.call('HSET', day, field, string.format('%.0f %.0f', tonumber(l) + tonumber(ARGV[i + 3]), tonumber(r) + tonumber(ARGV[i + 4])))
end
return 'ok'
