-- Tells of changes. KEYS: the open ones as in intend.lua, the stream's state; ARGV:
-- the channel, the request, then what intend wrote down. The mark links each
-- notice to the one before, so that a number used twice shows.
for i = 3, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  local before = redis.call('HGET', KEYS[3], 'mark') or ''
  local n, mark = redis.call('HINCRBY', KEYS[3], 'n', 1), ARGV[2] .. '.' .. i
  redis.call('HSET', KEYS[3], 'mark', mark)
  redis.call('PUBLISH', ARGV[1], string.format('%.0f', n) .. ' ' .. before .. ' ' .. mark .. ' ' .. ARGV[i])
end
return 'ok'
