-- Deletes a key, of the given version if that is not 0.
local id, workspace, version, when = take(), take(), take(), take()
local record, owner = live(id)
if not record or owner ~= workspace then return 'missing' end
if version ~= '0' and version ~= string.match(record, '^[^ ]*') then return 'conflict' end
if redis.call('HINCRBY', counts, workspace, -1) == 0 then
  redis.call('HDEL', counts, workspace)
  if redis.call('HEXISTS', settings, 'w' .. workspace) == 0 then redis.call('ZREM', workspaces, workspaceMember(workspace)) end
end
tombstone(id, record, when)
return commit()
