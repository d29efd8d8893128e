-- KEYS: the set of days; ARGV: prefix of a day's key, field, first day, the
-- day after the last. Answers day and counts of each.
local found = {}
for _, day in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local n = tonumber(day)
  if n >= tonumber(ARGV[3]) and n < tonumber(ARGV[4]) then
    local counts = redis.call('HGET', ARGV[1] .. day, ARGV[2])
    if counts then
      found[#found + 1] = day
      found[#found + 1] = counts
    end
  end
end
return found
