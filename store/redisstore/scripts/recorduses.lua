-- Records uses. Instants are 16 digits that sort, and '' sorts before them.
for _, use in ipairs(takeAll(3)) do
  local id, secret, when = unpack(use)
  local head, lastUsed, body, secrets = string.match(live(id) or '', '^([^\n]* )([^\n]*)(\n[^\n]*)(.*)$')
  local _, last = string.find(secrets or '', '\n' .. secret .. ' ', 1, true)
  if last then
    local before, used, rest = string.match(secrets, '^([^ ]* [^ ]* [^ ]* [^ ]* [^ ]* )([^ ]*)(.*)$', last + 1)
    if when > lastUsed or when > used then
      if when > lastUsed then lastUsed = when end
      if when > used then used = when end
      redis.call('HSET', keys, id, head .. lastUsed .. body .. string.sub(secrets, 1, last) .. before .. used .. rest)
    end
  end
end
return 'ok'
