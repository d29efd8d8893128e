local early = before()
if early then return early end
local id, version, ends, body, byName, n = take(), take(), take(), take(), take(), tonumber(take())
local old = redis.call('HGET', keys, id)
if not old then return 'missing' end
local last, oldVersion, epoch = head(old)
if last == request then return 'ok' end
if oldVersion ~= version then return 'conflict' end

local made, digests, makers = {}, {}, {}
local rest = string.match(old, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*(.*)$')
for secret, when, digest, maker in string.gmatch(rest, '\n([^ ]*) ([^ ]*) [^ ]* ([^ ]*) [^ ]* [^ ]*( [^\n]*)') do
  made[secret], digests[secret], makers[secret] = when, digest, maker
end
local keyUse, uses = '', {}
local was = redis.call('HGET', used, id)
if was then
  keyUse = string.match(was, '^[^ ]*')
  for secret, when in string.gmatch(was, ' ([^ ]*) ([^ ]*)') do uses[secret] = when end
end

local lines, use = {}, {keyUse}
for i = 1, n do
  local secret, when, line, lastUse = take(), take(), take(), take()
  if made[secret] then
    when, lastUse = made[secret], uses[secret] or ''
    local hint, tail = string.match(line, '^([^ ]*) [^ ]*( [^ ]* [^ ]*)')
    line = hint .. ' ' .. digests[secret] .. tail .. makers[secret]
  end
  lines[i] = '\n' .. secret .. ' ' .. when .. ' ' .. line
  if lastUse ~= '' then use[#use + 1] = secret .. ' ' .. lastUse end
end
local kept = string.match(old, '^[^\n]*\n([^\n]*)')
local _, oldName = places(old, id)
if ends == '1' then epoch = raised(epoch) end
redis.call('HSET', keys, id, request .. ' ' .. following(version) .. ' ' .. epoch .. '\n' ..
  kept .. '\n' .. body .. table.concat(lines))
if oldName ~= byName then
  redis.call('ZREM', names, oldName)
  redis.call('ZADD', names, 0, byName)
end
if keyUse == '' and #use == 1 then
  redis.call('HDEL', used, id)
else
  redis.call('HSET', used, id, table.concat(use, ' '))
end
return written()
