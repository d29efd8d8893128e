-- Ids, names and texts are BLOB: they are compared byte by byte. Instants are
-- microseconds since 1970; -62135596800000000 is the zero time. The views at the
-- end show both to people.

CREATE TABLE {p}instance (
    id             INTEGER PRIMARY KEY,
    keys_off       INTEGER NOT NULL DEFAULT 0,
    direct_off     INTEGER NOT NULL DEFAULT 0,
    max_keys       INTEGER NOT NULL DEFAULT 0,
    require_expiry INTEGER NOT NULL DEFAULT 0,
    max_lifetime   INTEGER NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  INTEGER NOT NULL DEFAULT -62135596800000000,
    key_requests   INTEGER NOT NULL DEFAULT 0, -- a minute
    workspace_requests INTEGER NOT NULL DEFAULT 0,
    reminders_off  INTEGER NOT NULL DEFAULT 0,
    remind_before  BLOB NOT NULL DEFAULT x'', -- JSON, nanoseconds
    epoch          INTEGER NOT NULL DEFAULT 0,
    updated        INTEGER NOT NULL DEFAULT -62135596800000000,
    version        INTEGER NOT NULL DEFAULT 0
);

INSERT INTO {p}instance (id) VALUES (1);

-- The version of the instance's settings, for changes to lock.
CREATE TABLE {p}stripes (
    id      INTEGER PRIMARY KEY,
    version INTEGER NOT NULL DEFAULT 0
);

INSERT INTO {p}stripes (id) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);

CREATE TABLE {p}workspaces (
    id             BLOB PRIMARY KEY,
    suspended      INTEGER NOT NULL DEFAULT 0,
    deleted        INTEGER NOT NULL DEFAULT 0,
    max_keys       INTEGER NOT NULL DEFAULT 0,
    require_expiry INTEGER NOT NULL DEFAULT 0,
    max_lifetime   INTEGER NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  INTEGER NOT NULL DEFAULT -62135596800000000,
    key_requests   INTEGER NOT NULL DEFAULT 0, -- a minute
    workspace_requests INTEGER NOT NULL DEFAULT 0,
    epoch          INTEGER NOT NULL DEFAULT 0,
    updated        INTEGER NOT NULL DEFAULT -62135596800000000,
    version        INTEGER NOT NULL DEFAULT 0,
    held           INTEGER NOT NULL DEFAULT 0 -- keys not deleted, exact
);

CREATE TABLE {p}keys (
    id             BLOB PRIMARY KEY,
    workspace      BLOB NOT NULL,
    name           BLOB NOT NULL,
    name_folded    BLOB, -- in lower case, where that differs
    id_folded      BLOB,
    permissions    BLOB NOT NULL, -- a space before and after each
    requested      BLOB NOT NULL,
    admin          BLOB NOT NULL, -- of the permissions, those granted as admin permissions
    credentials    BLOB NOT NULL, -- JSON
    resources      BLOB NOT NULL, -- JSON
    not_after      INTEGER NOT NULL, -- 9223372036854775807 is never
    not_after_text BLOB NOT NULL,
    disabled       INTEGER NOT NULL,
    direct         INTEGER NOT NULL,
    creator_kind   BLOB NOT NULL,
    creator_id     BLOB NOT NULL,
    depth          INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    updated        INTEGER NOT NULL,
    last_used      INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    epoch          INTEGER NOT NULL
);

CREATE INDEX {p}keys_created ON {p}keys (created, id);
CREATE INDEX {p}keys_name ON {p}keys (name, id);
CREATE INDEX {p}keys_space_created ON {p}keys (workspace, created, id);
CREATE INDEX {p}keys_space_name ON {p}keys (workspace, name, id);
CREATE INDEX {p}keys_expiry ON {p}keys (not_after, id);
CREATE INDEX {p}keys_space_expiry ON {p}keys (workspace, not_after, id);

-- The key of each credential, so that no two keys have a credential with one id.
CREATE TABLE {p}credentials (
    id     BLOB PRIMARY KEY,
    key_id BLOB NOT NULL
);

CREATE INDEX {p}credentials_key ON {p}credentials (key_id);

-- The creators of each key and of its credentials.
CREATE TABLE {p}creators (
    creator BLOB NOT NULL,
    created INTEGER NOT NULL, -- when the key was created
    key_id BLOB NOT NULL,
    PRIMARY KEY (creator, created, key_id)
);

CREATE INDEX {p}creators_key ON {p}creators (key_id);

CREATE TABLE {p}tombstones (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL
);

CREATE INDEX {p}tombstones_at ON {p}tombstones (at);

CREATE TABLE {p}revoked (
    id   BLOB PRIMARY KEY, -- SHA-256 of the token's id
    ends INTEGER NOT NULL
);

CREATE INDEX {p}revoked_ends ON {p}revoked (ends);

CREATE TABLE {p}events (
    id         BLOB PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_kind BLOB NOT NULL,
    actor_id   BLOB NOT NULL,
    actor_name BLOB NOT NULL,
    address    BLOB NOT NULL,
    action     BLOB NOT NULL,
    workspace  BLOB NOT NULL,
    key_id     BLOB NOT NULL,
    key_name   BLOB NOT NULL,
    changes    BLOB NOT NULL, -- JSON
    note       BLOB NOT NULL
);

CREATE INDEX {p}events_at ON {p}events (at, id);
CREATE INDEX {p}events_space_at ON {p}events (workspace, at, id);
CREATE INDEX {p}events_key_at ON {p}events (key_id, at, id);

CREATE TABLE {p}once (
    id      BLOB PRIMARY KEY, -- SHA-256 of space and id
    value   BLOB NOT NULL,
    expires INTEGER NOT NULL
);

CREATE INDEX {p}once_expires ON {p}once (expires);

-- Entries of the host's lists that are in use.
CREATE TABLE {p}lists (
    list        BLOB NOT NULL,
    name        BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    until       INTEGER NOT NULL, -- 9223372036854775807: until it is removed
    PRIMARY KEY (list, name)
);

CREATE TABLE {p}days (
    workspace BLOB NOT NULL,
    key_id    BLOB NOT NULL,
    day       INTEGER NOT NULL, -- since 1970
    logins    INTEGER NOT NULL,
    refusals  INTEGER NOT NULL,
    PRIMARY KEY (workspace, key_id, day)
);

CREATE INDEX {p}days_day ON {p}days (day);

CREATE TABLE {p}limits (
    id      BLOB PRIMARY KEY, -- SHA-256 of the id
    arrival INTEGER NOT NULL -- nanoseconds since 1970
);

CREATE INDEX {p}limits_arrival ON {p}limits (arrival);

CREATE TABLE {p}ring (
    id      INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    content BLOB NOT NULL -- JSON
);

-- The number of the last change, and what the latest ones were.
CREATE TABLE {p}feed (
    id  INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
);

INSERT INTO {p}feed (id, seq) VALUES (1, 0);

CREATE TABLE {p}notices (
    seq       INTEGER PRIMARY KEY,
    kind      INTEGER NOT NULL,
    workspace BLOB NOT NULL,
    key_id    BLOB NOT NULL,
    token     BLOB NOT NULL
);

-- For people: texts, and times in UTC, NULL where no time is set. No digest is
-- shown.

CREATE VIEW {p}keys_view AS SELECT
    CAST(id AS TEXT) AS id,
    CAST(workspace AS TEXT) AS workspace,
    CAST(name AS TEXT) AS name,
    trim(CAST(permissions AS TEXT)) AS permissions,
    CASE WHEN not_after BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', not_after / 1000000.0, 'unixepoch') END AS not_after,
    disabled,
    direct,
    CAST(creator_kind AS TEXT) AS creator_kind,
    CAST(creator_id AS TEXT) AS creator_id,
    depth,
    CASE WHEN created BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', created / 1000000.0, 'unixepoch') END AS created,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', updated / 1000000.0, 'unixepoch') END AS updated,
    CASE WHEN last_used BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', last_used / 1000000.0, 'unixepoch') END AS last_used,
    version
FROM {p}keys;

CREATE VIEW {p}workspaces_view AS SELECT
    CAST(id AS TEXT) AS id,
    suspended,
    deleted,
    max_keys,
    require_expiry,
    max_lifetime / 1000000000 AS max_lifetime_seconds,
    CASE WHEN enforced_from BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', enforced_from / 1000000.0, 'unixepoch') END AS enforced_from,
    key_requests,
    workspace_requests,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', updated / 1000000.0, 'unixepoch') END AS updated,
    version,
    held AS number_of_keys
FROM {p}workspaces;

CREATE VIEW {p}events_view AS SELECT
    CAST(id AS TEXT) AS id,
    CASE WHEN at BETWEEN -62135596799999999 AND 253402300799999999 THEN strftime('%Y-%m-%d %H:%M:%f', at / 1000000.0, 'unixepoch') END AS at,
    CAST(actor_kind AS TEXT) AS actor_kind,
    CAST(actor_id AS TEXT) AS actor_id,
    CAST(actor_name AS TEXT) AS actor_name,
    CAST(address AS TEXT) AS address,
    CAST(action AS TEXT) AS action,
    CAST(workspace AS TEXT) AS workspace,
    CAST(key_id AS TEXT) AS key_id,
    CAST(key_name AS TEXT) AS key_name,
    CAST(changes AS TEXT) AS changes,
    CAST(note AS TEXT) AS note
FROM {p}events;

CREATE VIEW {p}credentials_view AS SELECT
    CAST(k.id AS TEXT) AS key_id,
    CAST(k.workspace AS TEXT) AS workspace,
    json_extract(c.value, '$.id') AS id,
    CASE WHEN json_type(c.value, '$.public_key') = 'object' THEN 'public_key' WHEN json_type(c.value, '$.trust') = 'object' THEN 'trust' ELSE 'secret' END AS kind,
    json_extract(c.value, '$.name') AS name,
    json_extract(c.value, '$.hint') AS hint,
    json_extract(c.value, '$.trust.issuer') AS issuer,
    json_extract(c.value, '$.trust.claims') AS claims,
    json_extract(c.value, '$.created_by.kind') AS creator_kind,
    json_extract(c.value, '$.created_by.id') AS creator_id,
    CASE WHEN json_extract(c.value, '$.created') > '0001-01-01T00:00:00Z' THEN strftime('%Y-%m-%d %H:%M:%f', json_extract(c.value, '$.created')) END AS created,
    strftime('%Y-%m-%d %H:%M:%f', json_extract(c.value, '$.not_after')) AS not_after,
    strftime('%Y-%m-%d %H:%M:%f', json_extract(c.value, '$.last_used')) AS last_used
FROM {p}keys k, json_each(CAST(k.credentials AS TEXT)) c;
