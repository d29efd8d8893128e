-- Reads a part of the workspaces, like page.lua: id, member and record of each. The record
-- is the settings and, in a line of its own, the number of keys. KEYS: the workspaces, the
-- settings, the counts. ARGV: as for page.lua, without a descending order.
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
if #members == 0 then return {} end
local ids, fields, page = {}, {}, {}
for i, member in ipairs(members) do
  local _, last = string.find(member, '\0\1', 1, true)
  ids[i] = string.sub(member, last + 1)
  fields[i] = 'w' .. ids[i]
end
local saved, held = redis.call('HMGET', KEYS[2], unpack(fields)), redis.call('HMGET', KEYS[3], unpack(ids))
for i, member in ipairs(members) do
  page[3 * i - 2], page[3 * i - 1], page[3 * i] = ids[i], member, (saved[i] or '') .. '\n' .. (held[i] or '')
end
return page
