-- A stretch of an order: id, place and record of each, '' for a key whose
-- workspace is deleted. KEYS: the order, the records and, for keys, the workspaces that
-- sweep.lua has not finished. ARGV: 1 if descending, the two bounds, how many, 1 if the
-- order is by name.
local places
if ARGV[1] == '1' then
  places = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[3], ARGV[2], 'LIMIT', 0, ARGV[4])
else
  places = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
end
if #places == 0 then return {} end
local ids = {}
for i, place in ipairs(places) do
  local last = 16
  if ARGV[5] == '1' then last = string.find(place, '\0\1', 1, true) + 1 end
  ids[i] = string.sub(place, last + 1)
end
local records, swept = redis.call('HMGET', KEYS[2], unpack(ids)), KEYS[3] and redis.call('HLEN', KEYS[3]) or 0
local page = {}
for i, place in ipairs(places) do
  local record = records[i] or ''
  if swept > 0 and redis.call('HEXISTS', KEYS[3], (string.gsub(string.match(record, '^[^ ]* [^ ]* ([^ ]*)') or '', '%%(%x%x)',
    function(hex) return string.char(tonumber(hex, 16)) end))) == 1 then
    record = ''
  end
  page[3 * i - 2], page[3 * i - 1], page[3 * i] = ids[i], place, record
end
return page
