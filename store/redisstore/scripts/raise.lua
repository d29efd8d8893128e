-- Raises epochs of one space: '1' to leave alone the marks that are not behind;
-- then id ('' for the space itself, '+id' for a key), epoch and secrets of each.
local behind = take() == '1'
while at < #ARGV do
  local id, epoch, secrets = take(), take(), take()
  if id == '' then
    redis.call('HSET', settings, 'epoch', larger(redis.call('HGET', settings, 'epoch') or '0', epoch))
  else
    id = string.sub(id, 2)
    local record, tomb = redis.call('HGET', keys, id), redis.call('HGET', tombs, id)
    if record then
      local last, version, old = head(record)
      redis.call('HSET', keys, id, last .. ' ' .. version .. ' ' .. larger(old, epoch) .. string.match(record, '^[^\n]*(.*)$'))
    elseif tomb then
      local when, old, rest = string.match(tomb, '^([^ ]*) ([^ ]*) (.*)$')
      redis.call('HSET', tombs, id, when .. ' ' .. larger(old, epoch) .. ' ' .. rest)
    else
      local old = redis.call('HGET', marks, id)
      local was = old and string.match(old, '^[^ ]*') or '0'
      if not (behind and old and larger(was, epoch) == was) then
        redis.call('HSET', marks, id, larger(was, epoch) .. secrets)
      end
    end
  end
end
return 'ok'
