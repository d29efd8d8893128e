local early = before()
if early then return early end
local id, version, when = take(), take(), take()
local old = redis.call('HGET', keys, id)
if not old then
  local tomb = redis.call('HGET', tombs, id)
  if tomb and string.match(tomb, '([^ ]*)$') == request then return 'ok' end
  return 'missing'
end
local _, oldVersion = head(old)
if version ~= '0' and version ~= oldVersion then return 'conflict' end
bury(id, old, when)
return written()
