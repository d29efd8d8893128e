local id, secret, from, to = take(), take(), take(), take()
local record = live(id)
if not record then return 'missing' end
local head, body, lastUsed, rest = split(record)
local first, last = string.find(rest, '\n' .. secret .. ' ', 1, true)
if not first then return 'missing' end
local front, digest, back = string.match(string.sub(rest, last + 1), '^([^ ]* )([^ ]*)(.*)$')
if digest ~= from then return 'conflict' end
-- The caller does not know the workspace that the notice names.
notice = string.gsub(notice, '%?', function() return (string.match(head, '^[^ ]* [^ ]* ([^ ]*)')) end, 1)
redis.call('HSET', keys, id, head .. '\n' .. body .. '\n' .. lastUsed .. string.sub(rest, 1, last) .. front .. to .. back)
return made()
