local early = before()
if early then return early end
local id, taken, limit = take(), take(), take()
local kept, body, byCreated, byName, uses = take(), take(), take(), take(), take()
local old = redis.call('HGET', keys, id)
if old and birth(old) == request then return 'ok' end
if redis.call('HGET', settings, 'deleted') then return 'missing' end
if taken == '1' or old or redis.call('HEXISTS', tombs, id) == 1 then return 'exists' end
if limit ~= '-1' and redis.call('HLEN', keys) >= tonumber(limit) then return 'limit' end
redis.call('HSET', keys, id, request .. ' 1 ' .. raised('0') .. '\n' .. request .. ' ' .. kept .. '\n' .. body)
redis.call('ZADD', created, 0, byCreated)
redis.call('ZADD', names, 0, byName)
if uses ~= '' then redis.call('HSET', used, id, uses) end
return written()
