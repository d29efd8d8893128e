-- Sets a workspace to deleted: from then on look-ups find none of its keys.
-- sweep.lua removes them.
local workspace, when, fresh = take(), take(), take()
local version, epoch, deleted, rest = settingsOf('w' .. workspace)
if deleted == '1' then return 'missing' end
-- The settings stay as they were but for their first word, the last change.
if rest then rest = when .. string.match(rest, '^[^ ]*(.*)$') end
redis.call('HSET', settings, 'w' .. workspace, following(version) .. ' ' .. raised(epoch) .. ' 1 ' .. (rest or fresh))
redis.call('ZADD', workspaces, 0, workspaceMember(workspace))
if redis.call('HDEL', counts, workspace) == 1 then redis.call('HSET', deleting, workspace, when) end
return commit()
