-- Spends a one-time id, or reserves it for a change: KEYS[1]; ARGV: the new
-- value, now, time to live, the value that may be replaced. A value is: state
-- token space expires value. Answers 'ok' or the value that stands in the way.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[4] and found ~= ARGV[1] then
  local expires = string.match(found, '^[^ ]* [^ ]* [^ ]* ([^ ]*)')
  if tonumber(expires) > tonumber(ARGV[2]) then return found end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 'ok'
