-- The beginning of every script that changes records, see change.go. All keys have one
-- hash tag. After those named here come the logs of the workspaces that events belong to.
-- ARGV: the channel; the notification, or ''; a random id; the caller's clock; the
-- one-time id's value, or '', and how long to keep it; the number of preconditions,
-- then of each 'key' or 'settings', the name and the version; the number of events,
-- then of each its id, member, text and the number of its workspace's log, or 0; then
-- what the script itself takes.
local keys, created, names, settings, counts, deleting, tombstones, events, log, stream, ring, lists,
  receipt, once, byCreated, byName, ends, byEnd, workspaces, byCredential = unpack(KEYS)
local channel, notification, request, now, onceValue, onceLife = unpack(ARGV, 1, 6)
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

-- later collects the arguments for one command on each key, and flush calls these
-- commands: one call with many arguments costs less than many calls.
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

-- raised returns the next epoch: the larger of the old one plus one and the server's
-- clock in microseconds, which Lua counts exactly until the year 2255.
local function raised(old)
  local t = redis.call('TIME')
  return string.format('%.0f', math.max(tonumber(old) + 1, tonumber(t[1]) * 1e6 + tonumber(t[2])))
end

local function following(version) return string.format('%.0f', tonumber(version) + 1) end

-- lifetime returns for how many milliseconds to keep data that expires in the given
-- number of milliseconds by the caller's clock. If that clock differs from the server's,
-- the data is kept longer by the difference, since the clocks of other callers may agree
-- with the server's: by a day at most if the caller's clock is behind, and for a century
-- at most in all.
local function lifetime(left)
  local ahead = (tonumber(now, 16) - 2^63) / 1000 - tonumber(redis.call('TIME')[1]) * 1000
  return string.format('%.0f', math.min(tonumber(left) + math.max(ahead, math.min(-ahead, 86400000)), 3.1536e12))
end

-- Settings are "version epoch deleted rest", under 'w' and the escaped workspace,
-- or 'i'. The instance's reminders are under 'r'.
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

-- live returns the record of a key, and its workspace, escaped. It returns nil if the
-- key was deleted, alone or with its workspace. Records are lines of words, see record.go;
-- a tombstone is '-' and the time of the deletion.
local function live(id)
  local record = redis.call('HGET', keys, id)
  if not record or string.sub(record, 1, 1) == '-' then return nil end
  local workspace = string.match(record, '^[^ ]* [^ ]* ([^ ]*)')
  if isDeleted(workspace) then return nil end
  return record, workspace
end

-- nameMember is nameMember of record.go, for a name that is escaped as in layout.go.
local function nameMember(name, id)
  if string.find(name, '%', 1, true) then
    name = string.gsub(name, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
    name = string.gsub(name, '%z', '\0\255')
  end
  return name .. '\0\1' .. id
end

-- expiryMember is expiryMember of record.go, of an instant; '' is never.
local function expiryMember(notAfter, id) return (notAfter == '' and 'ffffffffffffffff' or notAfter) .. id end

-- workspaceMember is the member of a workspace, whose id is escaped, in the set of all.
local function workspaceMember(workspace) return nameMember(workspace, workspace) end

-- textOf returns what an update replaces of a key's record: all but the first line.
local function textOf(record) return string.match(record, '\n(.*)$') or '' end

-- credentialsOf iterates over the ids of the credentials in a key's text.
local function credentialsOf(text) return string.gmatch(text, '\n([^ \n]*)') end

-- taken reports whether another live key has one of the credentials in the text of a key. The
-- entry in byCredential only leads to that key, whose record decides: sweep.lua may not yet
-- have removed the entry of a key of a deleted workspace.
local function taken(id, text)
  for credential in credentialsOf(text) do
    local other = redis.call('HGET', byCredential, credential)
    if other and other ~= id then
      for held in credentialsOf(textOf(live(other) or '')) do
        if held == credential then return true end
      end
    end
  end
  return false
end

-- index writes the entries of a key's credentials when its text is replaced. It removes those
-- of credentials that the key has no more, unless another key has the credential by now.
local function index(id, old, new)
  local kept = {}
  for credential in credentialsOf(new) do
    kept[credential] = true
    redis.call('HSET', byCredential, credential, id)
  end
  for credential in credentialsOf(old) do
    if not kept[credential] and redis.call('HGET', byCredential, credential) == id then redis.call('HDEL', byCredential, credential) end
  end
end

-- tombstone replaces a key by its tombstone when flush is called. byCreated, byName and
-- byEnd must be the sorted sets of its workspace.
local function tombstone(id, record, when)
  local member, notAfter, name = string.match(record, '^[^ ]* [^ ]* [^ ]* ([^ ]*)[^\n]*\n[^ ]* [^ ]* ([^ ]*) [^ ]* ([^ ]*)')
  member, notAfter, name = member .. id, expiryMember(notAfter, id), nameMember(name, id)
  later('ZREM', created, member)
  later('ZREM', byCreated, member)
  later('ZREM', names, name)
  later('ZREM', byName, name)
  later('ZREM', ends, notAfter)
  later('ZREM', byEnd, notAfter)
  later('HSET', keys, id, '-' .. when)
  later('ZADD', tombstones, 0, when .. id)
  index(id, textOf(record), '') -- at once: 50 keys may have more credentials than unpack takes
end

-- commit ends every change: it writes the events and the one-time id, publishes the
-- notification, and leaves the receipt. A notification names the change before it, which
-- shows if a failover used a number twice. The stream is read here and not in commit, so
-- that a script that cannot read it fails before it has written anything: Redis would
-- undo nothing.
local streamN, streamLast = string.match(redis.call('GET', stream) or '0 ', '^(%d+) (.*)$')
local function commit()
  for _, e in ipairs(added) do
    if redis.call('HSETNX', events, e[1], e[3]) == 1 then
      later('ZADD', log, 0, e[2])
      if e[4] ~= '0' then later('ZADD', KEYS[tonumber(e[4])], 0, e[2]) end
    end
  end
  flush()
  if onceValue ~= '' then redis.call('SET', once, onceValue, 'PX', lifetime(onceLife)) end
  if notification ~= '' then
    local last = following(streamN) .. ' ' .. request
    redis.call('SET', stream, last)
    redis.call('PUBLISH', channel, streamLast .. ' ' .. last .. ' ' .. notification)
  end
  redis.call('SET', receipt, '1', 'PX', 60000)
  return 'ok'
end

-- The checks that come before those of the script itself. A client that lost the answer
-- sends a change again: it was made if its receipt is there. The write is for WAIT, which
-- waits for the writes of its own connection only.
if redis.call('EXISTS', receipt) == 1 then
  redis.call('PEXPIRE', receipt, 60000)
  return 'ok'
end
if onceValue ~= '' then
  local found = redis.call('GET', once)
  if found and string.sub(found, 1, 16) > now then return 'exists' end
end
for _, c in ipairs(conditions) do
  local version = c[1] == 'key' and string.match(live(c[2]) or '', '^[^ ]*') or settingsOf(c[2])
  if version ~= c[3] then return 'conflict' end
end
