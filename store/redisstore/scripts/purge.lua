-- Removes some tombstones from before an instant, and answers how many.
local members = redis.call('ZRANGEBYLEX', tombstones, '-', '(' .. take(), 'LIMIT', 0, take())
for _, member in ipairs(members) do
  later('HDEL', keys, string.sub(member, 17))
  later('ZREM', tombstones, member)
end
flush()
return #members
