-- Ids, names and texts are compared byte by byte, whatever collation the
-- database has. Instants are microseconds since 1970; -62135596800000000 is the
-- zero time. The views at the end show both to people.

CREATE TABLE {p}instance (
    id             smallint PRIMARY KEY,
    keys_off       smallint NOT NULL DEFAULT 0,
    direct_off     smallint NOT NULL DEFAULT 0,
    max_keys       bigint NOT NULL DEFAULT 0,
    require_expiry smallint NOT NULL DEFAULT 0,
    max_lifetime   bigint NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  bigint NOT NULL DEFAULT -62135596800000000,
    key_requests   bigint NOT NULL DEFAULT 0, -- a minute
    workspace_requests bigint NOT NULL DEFAULT 0,
    reminders_off  smallint NOT NULL DEFAULT 0,
    remind_before  text COLLATE "C" NOT NULL DEFAULT '', -- JSON, nanoseconds
    epoch          bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT -62135596800000000,
    version        bigint NOT NULL DEFAULT 0
);

INSERT INTO {p}instance (id) VALUES (1);

-- The version of the instance's settings, for changes to lock.
CREATE TABLE {p}stripes (
    id      smallint PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

INSERT INTO {p}stripes (id) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);

CREATE TABLE {p}workspaces (
    id             text COLLATE "C" PRIMARY KEY,
    suspended      smallint NOT NULL DEFAULT 0,
    deleted        smallint NOT NULL DEFAULT 0,
    max_keys       bigint NOT NULL DEFAULT 0,
    require_expiry smallint NOT NULL DEFAULT 0,
    max_lifetime   bigint NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  bigint NOT NULL DEFAULT -62135596800000000,
    key_requests   bigint NOT NULL DEFAULT 0, -- a minute
    workspace_requests bigint NOT NULL DEFAULT 0,
    epoch          bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT -62135596800000000,
    version        bigint NOT NULL DEFAULT 0,
    held           bigint NOT NULL DEFAULT 0 -- keys not deleted, exact
) WITH (fillfactor = 80);

CREATE TABLE {p}keys (
    id             text COLLATE "C" PRIMARY KEY,
    workspace      text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    name_folded    text COLLATE "C", -- in lower case, where that differs
    id_folded      text COLLATE "C",
    permissions    text COLLATE "C" NOT NULL, -- a space before and after each
    requested      text COLLATE "C" NOT NULL,
    admin          text COLLATE "C" NOT NULL, -- of the permissions, those granted as admin permissions
    credentials    text COLLATE "C" NOT NULL, -- JSON
    resources      text COLLATE "C" NOT NULL, -- JSON
    not_after      bigint NOT NULL, -- 9223372036854775807 is never
    not_after_text text COLLATE "C" NOT NULL,
    disabled       smallint NOT NULL,
    direct         smallint NOT NULL,
    creator_kind   text COLLATE "C" NOT NULL,
    creator_id     text COLLATE "C" NOT NULL,
    depth          bigint NOT NULL,
    created        bigint NOT NULL,
    updated        bigint NOT NULL,
    last_used      bigint NOT NULL,
    version        bigint NOT NULL,
    epoch          bigint NOT NULL
) WITH (fillfactor = 90);

CREATE INDEX {p}keys_created ON {p}keys (created, id);
CREATE INDEX {p}keys_name ON {p}keys (name, id);
CREATE INDEX {p}keys_space_created ON {p}keys (workspace, created, id);
CREATE INDEX {p}keys_space_name ON {p}keys (workspace, name, id);
CREATE INDEX {p}keys_expiry ON {p}keys (not_after, id);
CREATE INDEX {p}keys_space_expiry ON {p}keys (workspace, not_after, id);

-- The key of each credential, so that no two keys have a credential with one id.
CREATE TABLE {p}credentials (
    id     text COLLATE "C" PRIMARY KEY,
    key_id text COLLATE "C" NOT NULL
);

CREATE INDEX {p}credentials_key ON {p}credentials (key_id);

-- The creators of each key and of its credentials.
CREATE TABLE {p}creators (
    creator text COLLATE "C" NOT NULL,
    created bigint NOT NULL, -- when the key was created
    key_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (creator, created, key_id)
);

CREATE INDEX {p}creators_key ON {p}creators (key_id);

CREATE TABLE {p}tombstones (
    id text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL
);

CREATE INDEX {p}tombstones_at ON {p}tombstones (at);

CREATE TABLE {p}revoked (
    id   bytea PRIMARY KEY, -- SHA-256 of the token's id
    ends bigint NOT NULL
);

CREATE INDEX {p}revoked_ends ON {p}revoked (ends);

CREATE TABLE {p}events (
    id         text COLLATE "C" PRIMARY KEY,
    at         bigint NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    actor_name text COLLATE "C" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    workspace  text COLLATE "C" NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    key_name   text COLLATE "C" NOT NULL,
    changes    text COLLATE "C" NOT NULL, -- JSON
    note       text COLLATE "C" NOT NULL
);

CREATE INDEX {p}events_at ON {p}events (at, id);
CREATE INDEX {p}events_space_at ON {p}events (workspace, at, id);
CREATE INDEX {p}events_key_at ON {p}events (key_id, at, id);

CREATE TABLE {p}once (
    id      bytea PRIMARY KEY, -- SHA-256 of space and id
    value   text COLLATE "C" NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX {p}once_expires ON {p}once (expires);

-- Entries of the host's lists that are in use.
CREATE TABLE {p}lists (
    list        text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    until       bigint NOT NULL, -- 9223372036854775807: until it is removed
    PRIMARY KEY (list, name)
);

CREATE TABLE {p}days (
    workspace text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    day       bigint NOT NULL, -- since 1970
    logins    bigint NOT NULL,
    refusals  bigint NOT NULL,
    PRIMARY KEY (workspace, key_id, day)
);

CREATE INDEX {p}days_day ON {p}days (day);

CREATE TABLE {p}limits (
    id      bytea PRIMARY KEY, -- SHA-256 of the id
    arrival bigint NOT NULL -- nanoseconds since 1970
) WITH (fillfactor = 70);

CREATE INDEX {p}limits_arrival ON {p}limits (arrival);

CREATE TABLE {p}ring (
    id      smallint PRIMARY KEY,
    version bigint NOT NULL,
    content text COLLATE "C" NOT NULL -- JSON
);

-- The number of the last change, and what the latest ones were.
CREATE TABLE {p}feed (
    id  smallint PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO {p}feed (id, seq) VALUES (1, 0);

CREATE TABLE {p}notices (
    seq       bigint PRIMARY KEY,
    kind      smallint NOT NULL,
    workspace text COLLATE "C" NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    token     text COLLATE "C" NOT NULL
);

-- For people: texts, and times with time zone, NULL where no time is set. No
-- digest is shown.

CREATE VIEW {p}keys_view AS SELECT
    id,
    workspace,
    name,
    trim(permissions) AS permissions,
    CASE WHEN not_after BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + not_after * interval '1 microsecond' END AS not_after,
    disabled <> 0 AS disabled,
    direct <> 0 AS direct,
    creator_kind,
    creator_id,
    depth,
    CASE WHEN created BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + created * interval '1 microsecond' END AS created,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + updated * interval '1 microsecond' END AS updated,
    CASE WHEN last_used BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + last_used * interval '1 microsecond' END AS last_used,
    version
FROM {p}keys;

CREATE VIEW {p}workspaces_view AS SELECT
    id,
    suspended <> 0 AS suspended,
    deleted <> 0 AS deleted,
    max_keys,
    require_expiry <> 0 AS require_expiry,
    max_lifetime / 1000000000 AS max_lifetime_seconds,
    CASE WHEN enforced_from BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + enforced_from * interval '1 microsecond' END AS enforced_from,
    key_requests,
    workspace_requests,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + updated * interval '1 microsecond' END AS updated,
    version,
    held AS number_of_keys
FROM {p}workspaces;

CREATE VIEW {p}events_view AS SELECT
    id,
    CASE WHEN at BETWEEN -62135596799999999 AND 253402300799999999 THEN timestamptz 'epoch' + at * interval '1 microsecond' END AS at,
    actor_kind,
    actor_id,
    actor_name,
    address,
    action,
    workspace,
    key_id,
    key_name,
    changes,
    note
FROM {p}events;

CREATE VIEW {p}credentials_view AS SELECT
    k.id AS key_id,
    k.workspace,
    (c ->> 'id') COLLATE "C" AS id,
    CASE WHEN c -> 'public_key' IS NOT NULL THEN 'public_key' WHEN c -> 'trust' IS NOT NULL THEN 'trust' ELSE 'secret' END AS kind,
    (c ->> 'name') COLLATE "C" AS name,
    (c ->> 'hint') COLLATE "C" AS hint,
    (c #>> '{trust,issuer}') COLLATE "C" AS issuer,
    (c #>> '{trust,claims}') COLLATE "C" AS claims,
    (c #>> '{created_by,kind}') COLLATE "C" AS creator_kind,
    (c #>> '{created_by,id}') COLLATE "C" AS creator_id,
    CASE WHEN c ->> 'created' > '0001-01-01T00:00:00Z' COLLATE "C" THEN (c ->> 'created')::timestamptz END AS created,
    CASE WHEN c ->> 'not_after' > '0001-01-01T00:00:00Z' COLLATE "C" THEN (c ->> 'not_after')::timestamptz END AS not_after,
    CASE WHEN c ->> 'last_used' > '0001-01-01T00:00:00Z' COLLATE "C" THEN (c ->> 'last_used')::timestamptz END AS last_used
FROM {p}keys k, json_array_elements(k.credentials::json) c;
