-- Reads a part of a sorted set: id, member and record of each. The record is '' for a
-- key whose workspace is deleted. KEYS: the sorted set, the records and, for keys, the
-- workspaces that sweep.lua has not finished. ARGV: 1 if descending, the two bounds, how
-- many, 1 if the set is sorted by name.
local members
if ARGV[1] == '1' then
  members = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[3], ARGV[2], 'LIMIT', 0, ARGV[4])
else
  members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
end
if #members == 0 then return {} end
local ids = {}
for i, member in ipairs(members) do
  local last = 16
  if ARGV[5] == '1' then last = string.find(member, '\0\1', 1, true) + 1 end
  ids[i] = string.sub(member, last + 1)
end
local page, workspaces = {}, {}
for i, record in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  page[3 * i - 2], page[3 * i - 1], page[3 * i] = ids[i], members[i], record or ''
  workspaces[i] = string.match(record or '', '^[^ ]* [^ ]* ([^ ]*)') or ''
end
if KEYS[3] and redis.call('HLEN', KEYS[3]) > 0 then
  for i, deleted in ipairs(redis.call('HMGET', KEYS[3], unpack(workspaces))) do
    if deleted then page[3 * i] = '' end
  end
end
return page
