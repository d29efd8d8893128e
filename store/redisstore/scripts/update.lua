-- Replaces a key of the given version.
local id, workspace, version, revokeTokens, text, name, notAfter = take(), take(), take(), take(), take(), take(), take()
local record, owner = live(id)
if not record or owner ~= workspace then return 'missing' end
local oldVersion, epoch, kept, oldEnd, oldName, oldCredentials =
  string.match(record, '^([^ ]*) ([^ ]*) ([^\n]*)\n[^ ]* [^ ]* ([^ ]*) [^ ]* ([^ ]*)[^\n]*(.*)$')
oldEnd, oldName = expiryMember(oldEnd, id), nameMember(oldName, id)
if oldVersion ~= version then return 'conflict' end
if taken(id, text) then return 'credential exists' end
-- A credential that the key had before keeps everything but its expiry, whatever the
-- caller sent.
local credential, old = '\n([^ \n]* )([^ \n]* )([^\n]*)', {}
for credentialId, _, words in string.gmatch(oldCredentials, credential) do old[credentialId] = words end
text = string.gsub(text, credential, function(credentialId, expires, words)
  return '\n' .. credentialId .. expires .. (old[credentialId] or words)
end)
if revokeTokens == '1' then epoch = raised(epoch) end
redis.call('HSET', keys, id, following(version) .. ' ' .. epoch .. ' ' .. kept .. '\n' .. text)
index(id, oldCredentials, text)
if oldName ~= name then
  redis.call('ZREM', names, oldName)
  redis.call('ZREM', byName, oldName)
  redis.call('ZADD', names, 0, name)
  redis.call('ZADD', byName, 0, name)
end
if oldEnd ~= notAfter then
  redis.call('ZREM', ends, oldEnd)
  redis.call('ZREM', byEnd, oldEnd)
  redis.call('ZADD', ends, 0, notAfter)
  redis.call('ZADD', byEnd, 0, notAfter)
end
return commit()
