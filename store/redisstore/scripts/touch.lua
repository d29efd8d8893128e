-- Records uses. Instants are 16 digits that sort, and '' sorts before them.
for _, use in ipairs(takeAll(3)) do
  local id, secret, when = unpack(use)
  local head, body, lastUsed, rest = split(live(id) or '')
  local first, last = string.find(rest or '', '\n' .. secret .. ' ', 1, true)
  if first then
    local front, used, back = string.match(string.sub(rest, last + 1), '^([^ ]* [^ ]* [^ ]* [^ ]* [^ ]* )([^ ]*)(.*)$')
    if front and (when > lastUsed or when > used) then
      if when > lastUsed then lastUsed = when end
      if when > used then used = when end
      redis.call('HSET', keys, id,
        head .. '\n' .. body .. '\n' .. lastUsed .. string.sub(rest, 1, last) .. front .. used .. back)
    end
  end
end
return 'ok'
