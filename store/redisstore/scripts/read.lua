-- Reads a key with its settings, and whether a token is revoked, all as of one
-- moment. KEYS: keys, settings, counts, the token's revocation, a hash from credential
-- id to key id; ARGV: the id of the key and '', or the id of a credential as the second.
local id = ARGV[1]
if ARGV[2] ~= '' then id = redis.call('HGET', KEYS[5], ARGV[2]) end
local record = id and redis.call('HGET', KEYS[1], id)
if not record or string.sub(record, 1, 1) == '-' then return false end
local workspace = string.match(record, '^[^ ]* [^ ]* ([^ ]*)')
local found = redis.call('HMGET', KEYS[2], 'w' .. workspace, 'i')
return {record, found[1] or '', found[2] or '', redis.call('HGET', KEYS[3], workspace) or '',
  redis.call('EXISTS', KEYS[4]) == 1 and '1' or '', id}
