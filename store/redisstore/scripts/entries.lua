-- Records entries of the host's lists, or removes one if the first argument is 1. An
-- entry is "fingerprint until"; an empty until means never, and is the latest.
local forget, merged = take(), {}
for _, e in ipairs(takeAll(2)) do
  local name, entry = unpack(e)
  local old = merged[name] or redis.call('HGET', lists, name)
  if forget == '1' then
    if not old then return 'missing' end
    redis.call('HDEL', lists, name)
  else
    local fingerprint, till = string.match(entry, '^([^ ]*) ([^ ]*)$')
    local oldFingerprint, oldTill = string.match(old or entry, '^([^ ]*) ([^ ]*)$')
    if oldFingerprint ~= fingerprint then return 'conflict' end
    if oldTill == '' or till ~= '' and oldTill > till then till = oldTill end
    merged[name] = fingerprint .. ' ' .. till
  end
end
for name, entry in pairs(merged) do redis.call('HSET', lists, name, entry) end
return commit()
