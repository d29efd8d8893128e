-- Replaces the digest of a secret, if it still is the given one.
local id, secret, from, to = take(), take(), take(), take()
local record, workspace = live(id)
if not record then return 'missing' end
local key, credentials = string.match(record, '^([^\n]*\n[^\n]*)(.*)$')
local _, last = string.find(credentials, '\n' .. secret .. ' ', 1, true)
if not last then return 'missing' end
local before, digest, rest = string.match(credentials, '^([^ ]* [^ ]* )([^ ]*)(.*)$', last + 1)
if digest ~= from then return 'conflict' end
-- The caller does not know the workspace that the notification names.
notification = string.gsub(notification, ' ', function() return ' ' .. workspace end, 1)
redis.call('HSET', keys, id, key .. string.sub(credentials, 1, last) .. before .. to .. rest)
return commit()
