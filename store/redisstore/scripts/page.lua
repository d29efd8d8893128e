-- A stretch of an index with its records: place, record and uses of each.
-- KEYS: index, records, uses. ARGV: 'created' or 'name'; 'down' or 'up'; the
-- two bounds; how many.
local places
if ARGV[2] == 'down' then
  places = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[4], ARGV[3], 'LIMIT', 0, ARGV[5])
else
  places = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
end
local page = {}
for _, place in ipairs(places) do
  local id
  if ARGV[1] == 'name' then
    local _, last = string.find(place, '\0\1', 1, true)
    id = string.sub(place, last + 1)
  else
    id = string.sub(place, 17)
  end
  page[#page + 1] = place
  page[#page + 1] = redis.call('HGET', KEYS[2], id) or ''
  page[#page + 1] = KEYS[3] and redis.call('HGET', KEYS[3], id) or ''
end
return page
