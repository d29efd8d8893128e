-- What every change of a space begins with. All keys lie in one slot.
-- ARGV: the request's id; the milliseconds its receipt is kept, '' without a
-- one-time id; the number of events, then id, place and body of each; then
-- what the script itself takes.
local keys, used, created, names, tombs, settings, trail, events, receipt = unpack(KEYS)
local request, keep, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local at = 3 + 3 * count

local function take()
  at = at + 1
  return ARGV[at]
end

-- Whoever gave up waiting for this call's one-time id has voided it; a call
-- that was sent twice finds its own receipt.
local function before()
  if keep == '' then return nil end
  local found = redis.call('GET', receipt)
  if found == 'void' then return 'void' end
  if found then return 'ok' end
  return nil
end

local function written()
  for i = 4, 1 + 3 * count, 3 do
    if redis.call('HSETNX', events, ARGV[i], ARGV[i + 2]) == 1 then
      redis.call('ZADD', trail, 0, ARGV[i + 1])
    end
  end
  if keep ~= '' then redis.call('SET', receipt, 'done', 'PX', keep) end
  return 'ok'
end

-- The epoch that follows: at least one more, and the server's clock in
-- microseconds, which Lua counts exactly for two centuries.
local function raised(old)
  local t = redis.call('TIME')
  return string.format('%.0f', math.max(tonumber(old) + 1, tonumber(t[1]) * 1e6 + tonumber(t[2])))
end

local function following(n)
  local front, nines = string.match(n, '^(.-)(9*)$')
  local last = front == '' and '1' or string.sub(front, 1, -2) .. tonumber(string.sub(front, -1)) + 1
  return last .. string.rep('0', #nines)
end

-- A record's lines: request version epoch | birth created maker depth | state and
-- name | permissions | asked | resources | one line a secret.
local function head(record) return string.match(record, '^([^ ]*) ([^ ]*) ([^\n]*)\n') end
local function birth(record) return string.match(record, '^[^\n]*\n([^ ]*) ') end

local function plain(text)
  return (string.gsub(text, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end

local function places(record, id)
  local hex = string.match(record, '^[^\n]*\n[^ ]* ([^ ]*)')
  local name = string.match(record, '^[^\n]*\n[^\n]*\n[^ ]* [^ ]* [^ ]* [^ ]* ([^\n]*)')
  return hex .. id, (string.gsub(plain(name), '%z', '\0\255')) .. '\0\1' .. id
end

local function entomb(id, record, when)
  redis.call('HSET', tombs, id, when .. ' ' .. birth(record) .. ' ' .. request)
end

local function bury(id, record, when)
  local byCreated, byName = places(record, id)
  redis.call('HDEL', keys, id)
  redis.call('HDEL', used, id)
  redis.call('ZREM', created, byCreated)
  redis.call('ZREM', names, byName)
  entomb(id, record, when)
end
