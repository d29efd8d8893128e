-- A stretch of an order: id, place and record of each, '' for a key whose
-- workspace is deleted. Before a key's record come three lines: the settings of its
-- workspace, the number of its keys, and the settings of the instance. KEYS: the order,
-- the records and, for keys, the workspaces that sweep.lua has not finished, settings
-- and counts. ARGV: 1 if descending, the two bounds, how many, 1 if the
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
local page, workspaces, fields = {}, {}, {}
for i, record in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  page[3 * i - 2], page[3 * i - 1], page[3 * i] = ids[i], places[i], record or ''
  workspaces[i] = string.match(record or '', '^[^ ]* [^ ]* ([^ ]*)') or ''
  fields[i] = 'w' .. workspaces[i]
end
if KEYS[3] and redis.call('HLEN', KEYS[3]) > 0 then
  for i, deleted in ipairs(redis.call('HMGET', KEYS[3], unpack(workspaces))) do
    if deleted then page[3 * i] = '' end
  end
end
if KEYS[4] then
  local instance = redis.call('HGET', KEYS[4], 'i') or ''
  local counts = redis.call('HMGET', KEYS[5], unpack(workspaces))
  for i, around in ipairs(redis.call('HMGET', KEYS[4], unpack(fields))) do
    if page[3 * i] ~= '' then
      page[3 * i] = (around or '') .. '\n' .. (counts[i] or '') .. '\n' .. instance .. '\n' .. page[3 * i]
    end
  end
end
return page
