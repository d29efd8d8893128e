-- Takes back a creation whose id went to another workspace.
local id = take()
local old = redis.call('HGET', keys, id)
if old and birth(old) == request then
  bury(id, old, '0')
  redis.call('HDEL', tombs, id)
end
return 'ok'
