-- Revokes a token. The last of KEYS holds its revocation. The later expiry stays.
local till, life = take(), take()
local found = redis.call('GET', KEYS[#KEYS])
if found and found >= till then
  -- A write for WAIT, which a server makes also if its memory is full.
  redis.call('PEXPIRE', KEYS[#KEYS], redis.call('PTTL', KEYS[#KEYS]))
  return 'ok'
end
redis.call('SET', KEYS[#KEYS], till, 'PX', lifetime(life))
return commit()
