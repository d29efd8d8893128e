-- Removes the named tombstones if they are old enough; answers id and birth of
-- each.
local limit, purged = tonumber(take()), {}
while at < #ARGV do
  local id = take()
  local tomb = redis.call('HGET', tombs, id)
  if tomb then
    local when, born = string.match(tomb, '^([^ ]*) ([^ ]*)')
    if tonumber(when) < limit then
      redis.call('HDEL', tombs, id)
      purged[#purged + 1] = id
      purged[#purged + 1] = born
    end
  end
end
return purged
