-- Records entries of the host's lists, or, if the script is told so, forgets one. An
-- entry is "fingerprint until"; the latest until is ''.
local forget, merged = take(), {}
for _, e in ipairs(takeAll(3)) do
  local name, fingerprint, till = unpack(e)
  local old = merged[name] or redis.call('HGET', lists, name)
  if forget == '1' then
    if not old then return 'missing' end
    redis.call('HDEL', lists, name)
  else
    local oldPrint, oldTill = string.match(old or '', '^([^ ]*) ([^ ]*)$')
    if old and oldPrint ~= fingerprint then return 'conflict' end
    if old and (oldTill == '' or till ~= '' and oldTill > till) then till = oldTill end
    merged[name] = fingerprint .. ' ' .. till
  end
end
for name, entry in pairs(merged) do redis.call('HSET', lists, name, entry) end
return made()
