-- What every change begins with. All keys have one hash tag. After those named
-- here come the logs of the workspaces that events belong to.
-- ARGV: the channel; the notice, or ''; a random id; the caller's clock; the
-- one-time id's value, or '', and how long to keep it; the number of preconditions,
-- then of each 'key' or 'settings', the name and the version; the number of events,
-- then of each its id, place, text and the number of its workspace's log, or 0; then
-- what the script itself takes.
local keys, created, names, settings, counts, deleting, tombs, events, log, stream, ring, lists,
  receipt, once, byCreated, byName = unpack(KEYS)
local channel, notice, request, now, onceValue, onceLife = unpack(ARGV, 1, 6)
local at = 6

local function take()
  at = at + 1
  return ARGV[at]
end

local function takeAll(width)
  local all = {}
  for i = 1, tonumber(take()) do
    all[i] = {unpack(ARGV, at + 1, at + width)}
    at = at + width
  end
  return all
end

local conditions, added = takeAll(3), takeAll(4)

-- later collects arguments of the one command on a key, and flush calls it: a call
-- costs more than what it does.
local batches = {}

local function later(command, key, first, second)
  local batch = batches[key] or {command, key}
  batches[key] = batch
  batch[#batch + 1] = first
  batch[#batch + 1] = second
end

local function flush()
  for _, batch in pairs(batches) do redis.call(unpack(batch)) end
  batches = {}
end

-- The epoch that follows: at least one more, and the server's clock in
-- microseconds, which Lua counts exactly until the year 2255.
local function raised(old)
  local t = redis.call('TIME')
  return string.format('%.0f', math.max(tonumber(old) + 1, tonumber(t[1]) * 1e6 + tonumber(t[2])))
end

local function following(version) return string.format('%.0f', tonumber(version) + 1) end

-- lifetime is how many milliseconds to keep what is over in the given number by the
-- caller's clock: longer by how far that is off the server's, which others go by.
local function lifetime(left)
  local ahead = (tonumber(now, 16) - 2^63) / 1000 - tonumber(redis.call('TIME')[1]) * 1000
  return string.format('%.0f', math.min(tonumber(left) + math.max(ahead, math.min(-ahead, 86400000)), 3.1536e12))
end

-- Settings are "version epoch deleted rest", under 'w' and the escaped workspace,
-- or 'i'.
local function settingsOf(field)
  local text = redis.call('HGET', settings, field)
  if not text then return '0', '0', '0', nil end
  return string.match(text, '^(%d+) (%d+) ([01]) (.*)$')
end

local function isDeleted(workspace)
  local version, _, deleted = settingsOf('w' .. workspace)
  if not version then error('the settings of a workspace cannot be read') end
  return deleted == '1'
end

-- A key is lines of words, see record.go. A tombstone is '-' and when.
local function split(record)
  return string.match(record, '^([^\n]*)\n([^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*)\n([^\n]*)(.*)$')
end

-- live returns the record of a key that was not deleted, alone or with its
-- workspace, and its workspace, escaped.
local function live(id)
  local record = redis.call('HGET', keys, id)
  if not record or string.sub(record, 1, 1) == '-' then return nil end
  local workspace = string.match(record, '^[^ ]* [^ ]* ([^ ]*)')
  if isDeleted(workspace) then return nil end
  return record, workspace
end

-- placeByName is namePlace of record.go, of a name that is escaped as in names.go.
local function placeByName(name, id)
  if string.find(name, '%', 1, true) then
    name = string.gsub(name, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
    name = string.gsub(name, '%z', '\0\255')
  end
  return name .. '\0\1' .. id
end

-- bury puts a tombstone in a key's place, later. byCreated and byName are those of
-- its workspace.
local function bury(id, record, when)
  local place, name = string.match(record, '^[^ ]* [^ ]* [^ ]* ([^ ]*)[^\n]*\n[^ ]* [^ ]* [^ ]* [^ ]* ([^\n]*)')
  place, name = place .. id, placeByName(name, id)
  later('ZREM', created, place)
  later('ZREM', byCreated, place)
  later('ZREM', names, name)
  later('ZREM', byName, name)
  later('HSET', keys, id, '-' .. when)
  later('ZADD', tombs, 0, when .. id)
end

-- made writes what goes with a change, and publishes the notice. Each names the
-- change before, so that a number that a failover used twice shows. What cannot be
-- read raises an error here, before anything is written: Redis undoes nothing.
local streamN, streamLast = string.match(redis.call('GET', stream) or '0 ', '^(%d+) (.*)$')
local function made()
  for _, e in ipairs(added) do
    if redis.call('HSETNX', events, e[1], e[3]) == 1 then
      later('ZADD', log, 0, e[2])
      if e[4] ~= '0' then later('ZADD', KEYS[tonumber(e[4])], 0, e[2]) end
    end
  end
  flush()
  if onceValue ~= '' then redis.call('SET', once, onceValue, 'PX', lifetime(onceLife)) end
  if notice ~= '' then
    local last = following(streamN) .. ' ' .. request
    redis.call('SET', stream, last)
    redis.call('PUBLISH', channel, streamLast .. ' ' .. last .. ' ' .. notice)
  end
  redis.call('SET', receipt, '1', 'PX', 60000)
  return 'ok'
end

-- The first checks of the contract. A client that lost the answer sends a change
-- again: it was made if its receipt is there. The write gives WAIT, which speaks of
-- its own connection, something to wait for.
if redis.call('EXISTS', receipt) == 1 then
  redis.call('PEXPIRE', receipt, 60000)
  return 'ok'
end
if onceValue ~= '' then
  local found = redis.call('GET', once)
  if found and string.sub(found, 1, 16) > now then return 'exists' end
end
for _, c in ipairs(conditions) do
  local version
  if c[1] == 'key' then
    local record = live(c[2])
    version = record and string.match(record, '^[^ ]*')
  else
    version = settingsOf(c[2])
  end
  if version ~= c[3] then return 'conflict' end
end
