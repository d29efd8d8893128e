-- Ends a token, whose revocation is the last key: the later end stays.
local till, life = take(), take()
local found = redis.call('GET', KEYS[#KEYS])
if not found or found < till then redis.call('SET', KEYS[#KEYS], till, 'PX', life) end
return made()
