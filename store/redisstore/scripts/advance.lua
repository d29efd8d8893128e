-- The generic cell rate algorithm. KEYS[1]; ARGV: now, step and window, each
-- as seconds and nanoseconds, and the margin in milliseconds. Differences are
-- exact up to 100 days; a sum of nanoseconds since 1970 would not be.
local function ns(seconds, rest) return tonumber(seconds) * 1e9 + tonumber(rest) end
local seconds, rest = tonumber(ARGV[1]), tonumber(ARGV[2])
local step, window = ns(ARGV[3], ARGV[4]), ns(ARGV[5], ARGV[6])
local ahead = 0
local found = redis.call('GET', KEYS[1])
if found then
  local s, n = string.match(found, '^(%S+) (%S+)$')
  ahead = math.max(0, (tonumber(s) - seconds) * 1e9 + (tonumber(n) - rest))
end
-- More than a window ahead counts as a window, and is stored so unless it is at
-- most a second more: then a call may have come late.
local moved, write = 0, ahead > window + 1e9
ahead = math.min(ahead, math.max(window, 0))
if step > 0 and ahead + step <= window then
  moved, write = 1, true
  ahead = ahead + step
end
if write then
  local s = seconds + math.floor((rest + ahead) / 1e9)
  local n = (rest + ahead) % 1e9
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', s, n), 'PX', string.format('%.0f', math.ceil(ahead / 1e6) + tonumber(ARGV[7])))
end
return {moved, string.format('%.0f', ahead)}
