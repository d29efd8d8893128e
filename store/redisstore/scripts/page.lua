-- A stretch of an index: place, record and uses of each.
-- KEYS: index, records, uses. ARGV: 'records', or 'places' to leave them out;
-- 'created' or 'name'; 'down' or 'up'; the two bounds; how many.
local places
if ARGV[3] == 'down' then
  places = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[5], ARGV[4], 'LIMIT', 0, ARGV[6])
else
  places = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[4], ARGV[5], 'LIMIT', 0, ARGV[6])
end
local page = {}
for _, place in ipairs(places) do
  local record, uses = '', ''
  if ARGV[1] == 'records' then
    local id
    if ARGV[2] == 'name' then
      local _, last = string.find(place, '\0\1', 1, true)
      id = string.sub(place, last + 1)
    else
      id = string.sub(place, 17)
    end
    record = redis.call('HGET', KEYS[2], id) or ''
    uses = KEYS[3] and redis.call('HGET', KEYS[3], id) or ''
  end
  page[#page + 1] = place
  page[#page + 1] = record
  page[#page + 1] = uses
end
return page
