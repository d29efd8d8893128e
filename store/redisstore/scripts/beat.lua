-- Reads the stream's state and how many changes are in doubt, and tells of
-- changes whose writers have not for a while; it answers these, too. KEYS: the
-- open ones as in intend.lua, the stream's state; ARGV: the channel, a random
-- text, the milliseconds after which one is told of, and those after which it is
-- forgotten; the age of what is in doubt, from and to; how many to tell of at
-- once, where a full stretch leaves the rest in doubt. The server's clock decides
-- when to help, never what is true.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
-- The clock was set back: what seems to begin later is under way now.
for _, text in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'LIMIT', 0, ARGV[7])) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), text)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), text)
end
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[3])), 'LIMIT', 0, ARGV[7])
for i, text in ipairs(late) do
  local before = redis.call('HGET', KEYS[3], 'mark') or ''
  local n, mark = redis.call('HINCRBY', KEYS[3], 'n', 1), ARGV[2] .. '.' .. i
  redis.call('HSET', KEYS[3], 'mark', mark)
  redis.call('PUBLISH', ARGV[1], string.format('%.0f', n) .. ' ' .. before .. ' ' .. mark .. ' ' .. text)
  local began = redis.call('ZSCORE', KEYS[2], text)
  if not began or now - tonumber(began) > tonumber(ARGV[4]) then
    redis.call('ZREM', KEYS[1], text)
    redis.call('ZREM', KEYS[2], text)
  else
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), text)
  end
end
local state = redis.call('HMGET', KEYS[3], 'n', 'mark')
local doubtful = redis.call('ZCOUNT', KEYS[2], string.format('%.0f', now - tonumber(ARGV[6])), string.format('%.0f', now - tonumber(ARGV[5])))
if #late == tonumber(ARGV[7]) then doubtful = doubtful + 1 end
return {state[1] or '0', state[2] or '', late, doubtful}
