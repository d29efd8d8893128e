-- Ends a token, whose revocation is the last key: the later end stays.
local till, life = take(), take()
local found = redis.call('GET', KEYS[#KEYS])
if found and found >= till then
  redis.call('SET', receipt, '1', 'PX', 60000)
  return 'ok'
end
redis.call('SET', KEYS[#KEYS], till, 'PX', lifetime(life))
return made()
