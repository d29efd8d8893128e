local id, secret, from, to = take(), take(), take(), take()
local record = redis.call('HGET', keys, id)
if not record then return 'missing' end
local top, rest = string.match(record, '^([^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*)(.*)$')
local status, lines = 'missing', {}
for line in string.gmatch(rest, '\n([^\n]*)') do
  local name, head, digest, tail = string.match(line, '^([^ ]*)( [^ ]* [^ ]* )([^ ]*)(.*)$')
  if name == secret then
    if digest == from then
      status, line = 'ok', name .. head .. to .. tail
    elseif digest == to then
      return 'ok' -- sent twice
    else
      return 'conflict'
    end
  end
  lines[#lines + 1] = '\n' .. line
end
if status == 'ok' then redis.call('HSET', keys, id, top .. table.concat(lines)) end
return status
