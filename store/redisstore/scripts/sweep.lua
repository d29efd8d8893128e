-- Puts tombstones in the place of some keys of a deleted workspace, and answers
-- how many.
local workspace, most = take(), tonumber(take())
local when = redis.call('HGET', deleting, workspace)
if not when then return 0 end
local places = redis.call('ZRANGEBYLEX', byCreated, '-', '+', 'LIMIT', 0, most)
for _, place in ipairs(places) do
  local id = string.sub(place, 17)
  local record = redis.call('HGET', keys, id)
  if record and string.find(record, '\n[^ ]* [^ ]* [^ ]* [^ ]* ') then
    tombstone(id, record, when)
  else
    later('ZREM', byCreated, place) -- it cannot be read: the rest of it stays
  end
end
flush()
if #places < most then redis.call('HDEL', deleting, workspace) end
return #places
