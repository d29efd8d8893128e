-- Records uses. Instants are 16 digits that sort, and '' sorts before them.
for _, use in ipairs(takeAll(3)) do
  local id, secret, when = unpack(use)
  local record = live(id) or ''
  local from, lastUsed, to = string.match(record, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n()([^\n]*)()')
  local _, last = string.find(record, '\n' .. secret .. ' ', to, true)
  if from and last then
    local usedFrom, used, usedTo = string.match(record, '^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* ()([^ ]*)()', last + 1)
    if used and (when > lastUsed or when > used) then
      if when > lastUsed then lastUsed = when end
      if when > used then used = when end
      redis.call('HSET', keys, id,
        string.sub(record, 1, from - 1) .. lastUsed .. string.sub(record, to, usedFrom - 1) .. used .. string.sub(record, usedTo))
    end
  end
end
return 'ok'
