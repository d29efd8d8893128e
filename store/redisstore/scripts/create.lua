-- Adds a key, unless its id or a credential is taken or its workspace has reached the limit
-- (-1: none).
local id, workspace, limit, kept, text, member, name, notAfter = take(), take(), take(), take(), take(), take(), take(), take()
if isDeleted(workspace) then return 'missing' end
if redis.call('HEXISTS', keys, id) == 1 then return 'exists' end
if limit ~= '-1' and tonumber(redis.call('HGET', counts, workspace) or '0') >= tonumber(limit) then return 'limit' end
if taken(id, text) then return 'credential exists' end
if redis.call('HINCRBY', counts, workspace, 1) == 1 then -- first: it fails if the number cannot be read
  redis.call('ZADD', workspaces, 0, workspaceMember(workspace))
end
redis.call('HSET', keys, id, '1 ' .. raised('0') .. ' ' .. kept .. '\n' .. text)
redis.call('ZADD', created, 0, member)
redis.call('ZADD', byCreated, 0, member)
redis.call('ZADD', names, 0, name)
redis.call('ZADD', byName, 0, name)
redis.call('ZADD', ends, 0, notAfter)
redis.call('ZADD', byEnd, 0, notAfter)
index(id, '', text)
return commit()
