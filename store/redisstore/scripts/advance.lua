-- The generic cell rate algorithm, by the server's clock. KEYS[1]; ARGV: step
-- and window, each as seconds and nanoseconds. A sum of nanoseconds since 1970
-- would not be exact; differences are, up to 100 days.
local function ns(seconds, rest) return tonumber(seconds) * 1e9 + tonumber(rest) end
local t = redis.call('TIME')
local seconds, rest = tonumber(t[1]), tonumber(t[2]) * 1000
local step, window = ns(ARGV[1], ARGV[2]), ns(ARGV[3], ARGV[4])
local s, n = string.match(redis.call('GET', KEYS[1]) or '0 0', '^(%S+) (%S+)$')
local ahead = math.max(0, (tonumber(s) - seconds) * 1e9 + (tonumber(n) - rest))
-- More than a window ahead, since the clock was set back, counts as a window, and is
-- stored so unless it is at most a second more.
local moved, write = 0, ahead > window + 1e9
ahead = math.min(ahead, math.max(window, 0))
if step > 0 and ahead + step <= window then
  moved, write = 1, true
  ahead = ahead + step
end
if write then
  local s = seconds + math.floor((rest + ahead) / 1e9)
  local n = (rest + ahead) % 1e9
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', s, n), 'PX', string.format('%.0f', math.ceil(ahead / 1e6) + 1000))
else
  -- A write that changes nothing: a server that was demoted refuses it.
  redis.call('PEXPIRE', KEYS[1], redis.call('PTTL', KEYS[1]))
end
return string.format('%d %.0f', moved, ahead)
