local touched = {}
while at < #ARGV do
  local id, secret, when = take(), take(), take()
  local record = redis.call('HGET', keys, id)
  if record and string.find(record, '\n' .. secret .. ' ', 1, true) then
    local rest = string.match(record, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*(.*)$')
    if string.find(rest, '\n' .. secret .. ' ', 1, true) then
      local was = redis.call('HGET', used, id) or ''
      local keyUse = string.match(was, '^[^ ]*')
      if keyUse == '' or tonumber(keyUse) < tonumber(when) then keyUse = when end
      local use, known = {keyUse}, false
      for other, last in string.gmatch(was, ' ([^ ]*) ([^ ]*)') do
        if other == secret then
          known = true
          if tonumber(last) < tonumber(when) then last = when end
        end
        use[#use + 1] = other .. ' ' .. last
      end
      if not known then use[#use + 1] = secret .. ' ' .. when end
      redis.call('HSET', used, id, table.concat(use, ' '))
    end
  end
end
return 'ok'
