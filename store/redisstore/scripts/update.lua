local id, workspace, version, ends, body, name = take(), take(), take(), take(), take(), take()
local secrets = takeAll(3)
local record, owner = live(id)
if not record or owner ~= workspace then return 'missing' end
local head, oldBody, lastUsed, rest = split(record)
local oldVersion, epoch, kept = string.match(head, '^([^ ]*) ([^ ]*) (.*)$')
if oldVersion ~= version then return 'conflict' end
-- A secret that stays keeps when and by whom it was made, its prefix, its digest
-- and its last use.
local old = {}
for secret, same in string.gmatch(rest, '\n([^ ]*) ([^ ]* [^ ]* [^ ]* [^ ]* [^ ]* [^ ]*)') do old[secret] = same end
local lines = {}
for i, s in ipairs(secrets) do
  lines[i] = '\n' .. s[1] .. ' ' .. (old[s[1]] or s[2]) .. ' ' .. s[3]
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
