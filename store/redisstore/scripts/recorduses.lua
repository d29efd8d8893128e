-- Records uses. Instants are 16 digits that sort, and '' sorts before them.
for _, use in ipairs(takeAll(3)) do
  local id, credential, when = unpack(use)
  local head, lastUsed, body, credentials = string.match(live(id) or '', '^([^\n]* )([^\n]*)(\n[^\n]*)(.*)$')
  local _, last = string.find(credentials or '', '\n' .. credential .. ' ', 1, true)
  if last then
    local before, used, rest = string.match(credentials, '^([^ ]* )([^ ]*)(.*)$', last + 1)
    if when > lastUsed or when > used then
      if when > lastUsed then lastUsed = when end
      if when > used then used = when end
      redis.call('HSET', keys, id, head .. lastUsed .. body .. string.sub(credentials, 1, last) .. before .. used .. rest)
    end
  end
end
return 'ok'
