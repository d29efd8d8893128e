local id, workspace, version, ends, text, name = take(), take(), take(), take(), take(), take()
local record, owner = live(id)
if not record or owner ~= workspace then return 'missing' end
local head, oldBody, lastUsed, rest = split(record)
local oldVersion, epoch, kept = string.match(head, '^([^ ]*) ([^ ]*) (.*)$')
if oldVersion ~= version then return 'conflict' end
-- A secret that stays keeps when and by whom it was made, its prefix, its digest
-- and its last use.
local secret = '^([^ ]*) ([^ ]* [^ ]* [^ ]* [^ ]* [^ ]* [^ ]*) (.*)$'
local old, lines = {}, {}
for text in string.gmatch(rest, '\n([^\n]*)') do
  local secretId, kept = string.match(text, secret)
  old[secretId] = kept
end
local _, body, _, secrets = split('\n' .. text)
for text in string.gmatch(secrets, '\n([^\n]*)') do
  local secretId, new, tail = string.match(text, secret)
  lines[#lines + 1] = '\n' .. secretId .. ' ' .. (old[secretId] or new) .. ' ' .. tail
end
local oldName = placeByName(string.match(oldBody, '^[^ ]* [^ ]* [^ ]* [^ ]* ([^\n]*)'), id)
if ends == '1' then epoch = raised(epoch) end
redis.call('HSET', keys, id,
  following(version) .. ' ' .. epoch .. ' ' .. kept .. '\n' .. body .. '\n' .. lastUsed .. table.concat(lines))
if oldName ~= name then
  redis.call('ZREM', names, oldName)
  redis.call('ZREM', byName, oldName)
  redis.call('ZADD', names, 0, name)
  redis.call('ZADD', byName, 0, name)
end
return made()
