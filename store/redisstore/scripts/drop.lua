-- Strikes out what was written down and did not come to be. KEYS as in
-- intend.lua; ARGV: notices.
for _, text in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], text)
  redis.call('ZREM', KEYS[2], text)
end
return 'ok'
