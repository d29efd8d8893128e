local old = redis.call('ZRANGEBYLEX', trail, '-', '(' .. take(), 'LIMIT', 0, 1000)
for _, place in ipairs(old) do
  redis.call('ZREM', trail, place)
  redis.call('HDEL', events, string.sub(place, 17))
end
return #old
