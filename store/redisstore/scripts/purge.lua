-- Removes some tombstones from before an instant, and answers how many.
local places = redis.call('ZRANGEBYLEX', tombstones, '-', '(' .. take(), 'LIMIT', 0, take())
for _, place in ipairs(places) do
  later('HDEL', keys, string.sub(place, 17))
  later('ZREM', tombstones, place)
end
flush()
return #places
