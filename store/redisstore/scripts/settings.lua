-- Saves the settings of a workspace, or of the instance with its reminders.
local field, version, revokeTokens, rest, reminders = take(), take(), take(), take(), take()
local oldVersion, epoch, deleted = settingsOf(field)
if deleted == '1' then return 'missing' end
if oldVersion ~= version then return 'conflict' end
if revokeTokens == '1' then epoch = raised(epoch) end
redis.call('HSET', settings, field, following(version) .. ' ' .. epoch .. ' 0 ' .. rest)
if field ~= 'i' then redis.call('ZADD', workspaces, 0, workspaceMember(string.sub(field, 2))) end
if reminders then redis.call('HSET', settings, 'r', reminders) end
return commit()
