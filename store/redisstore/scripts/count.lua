-- Adds to counters by day. KEYS: the set of days, the mark of this request;
-- ARGV: prefix of a day's key, how long the mark is kept, then day, field,
-- logins, refusals of each.
if redis.call('SET', KEYS[2], '1', 'PX', ARGV[2], 'NX') == false then return 'ok' end
for i = 3, #ARGV, 4 do
  local day = ARGV[1] .. ARGV[i]
  redis.call('SADD', KEYS[1], ARGV[i])
  local l, r = 0, 0
  local found = redis.call('HGET', day, ARGV[i + 1])
  if found then
    l, r = string.match(found, '^(%S+) (%S+)$')
  end
  redis.call('HSET', day, ARGV[i + 1], string.format('%.0f %.0f', tonumber(l) + tonumber(ARGV[i + 2]), tonumber(r) + tonumber(ARGV[i + 3])))
end
return 'ok'
