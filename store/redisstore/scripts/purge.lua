-- Removes some tombstones from before an instant, and answers how many.
local places = redis.call('ZRANGEBYLEX', tombs, '-', '(' .. take(), 'LIMIT', 0, take())
for _, place in ipairs(places) do
  redis.call('HDEL', keys, string.sub(place, 17))
  redis.call('ZREM', tombs, place)
end
return #places
