-- Writes down what is about to change, so that watchers learn of it even if
-- the writer dies in between. KEYS: the open ones by when they are next to be
-- told of, and by when they began; ARGV: notices.
local t = redis.call('TIME')
local now = string.format('%.0f', tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000))
for _, text in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], now, text)
  redis.call('ZADD', KEYS[2], now, text)
end
return 'ok'
