-- Replaces some keys of a deleted workspace by tombstones, and answers how many.
local workspace, most = take(), tonumber(take())
local when = redis.call('HGET', deleting, workspace)
if not when then return 0 end
local members = redis.call('ZRANGEBYLEX', byCreated, '-', '+', 'LIMIT', 0, most)
for _, member in ipairs(members) do
  local id = string.sub(member, 17)
  local record = redis.call('HGET', keys, id)
  if record and string.find(record, '\n[^ ]* [^ ]* [^ ]* [^ ]* ') then
    tombstone(id, record, when)
  else
    later('ZREM', byCreated, member) -- it cannot be read: the rest of it stays
  end
end
flush()
if #members < most then redis.call('HDEL', deleting, workspace) end
return #members
