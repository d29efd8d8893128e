-- Some of the workspaces, in order: member, settings and number of keys of each. KEYS: the
-- workspaces, the settings, the counts. ARGV: the bound, how many.
local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
if #found == 0 then return {} end
local ids, fields, page = {}, {}, {}
for i, member in ipairs(found) do
  local _, last = string.find(member, '\0\1', 1, true)
  ids[i] = string.sub(member, last + 1)
  fields[i] = 'w' .. ids[i]
end
local saved, held = redis.call('HMGET', KEYS[2], unpack(fields)), redis.call('HMGET', KEYS[3], unpack(ids))
for i, member in ipairs(found) do
  page[3 * i - 2], page[3 * i - 1], page[3 * i] = member, saved[i] or '', held[i] or ''
end
return page
