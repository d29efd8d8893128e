-- Ids and names are bytea: they are compared byte by byte, whatever collation
-- the database has, and may hold any bytes. Instants are microseconds since
-- 1970; -62135596800000000 is the zero time. To read a text:
-- convert_from(name, 'UTF8').

CREATE TABLE {p}instance (
    id             smallint PRIMARY KEY,
    keys_off       smallint NOT NULL DEFAULT 0,
    max_keys       bigint NOT NULL DEFAULT 0,
    require_expiry smallint NOT NULL DEFAULT 0,
    max_lifetime   bigint NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  bigint NOT NULL DEFAULT -62135596800000000,
    epoch          bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT -62135596800000000,
    version        bigint NOT NULL DEFAULT 0
);

INSERT INTO {p}instance (id) VALUES (1);

CREATE TABLE {p}workspaces (
    id             bytea PRIMARY KEY,
    suspended      smallint NOT NULL DEFAULT 0,
    deleted        smallint NOT NULL DEFAULT 0,
    max_keys       bigint NOT NULL DEFAULT 0,
    require_expiry smallint NOT NULL DEFAULT 0,
    max_lifetime   bigint NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  bigint NOT NULL DEFAULT -62135596800000000,
    epoch          bigint NOT NULL DEFAULT 0,
    updated        bigint NOT NULL DEFAULT -62135596800000000,
    version        bigint NOT NULL DEFAULT 0,
    held           bigint NOT NULL DEFAULT 0 -- keys not deleted, exact
) WITH (fillfactor = 80);

CREATE TABLE {p}keys (
    id             bytea PRIMARY KEY,
    workspace      bytea NOT NULL,
    name           bytea NOT NULL,
    name_folded    bytea, -- in lower case, where that differs
    id_folded      bytea,
    permissions    bytea NOT NULL, -- a space before and after each
    asked          bytea NOT NULL,
    secrets        bytea NOT NULL, -- JSON
    resources      bytea NOT NULL, -- JSON
    not_after      bigint NOT NULL, -- 9223372036854775807 is never
    not_after_text bytea NOT NULL,
    disabled       smallint NOT NULL,
    maker_kind     bytea NOT NULL,
    maker_id       bytea NOT NULL,
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

CREATE TABLE {p}tombstones (
    id    bytea PRIMARY KEY,
    at    bigint NOT NULL,
    epoch bigint NOT NULL
);

CREATE INDEX {p}tombstones_at ON {p}tombstones (at);

-- Epochs of keys that are kept elsewhere.
CREATE TABLE {p}marks (
    id        bytea PRIMARY KEY,
    workspace bytea NOT NULL,
    epoch     bigint NOT NULL,
    secrets   bytea NOT NULL -- JSON
);

CREATE TABLE {p}revoked (
    id   bytea PRIMARY KEY, -- SHA-256 of the token's id
    ends bigint NOT NULL
);

CREATE INDEX {p}revoked_ends ON {p}revoked (ends);

CREATE TABLE {p}events (
    id         bytea PRIMARY KEY,
    at         bigint NOT NULL,
    actor_kind bytea NOT NULL,
    actor_id   bytea NOT NULL,
    action     bytea NOT NULL,
    workspace  bytea NOT NULL,
    key_id     bytea NOT NULL,
    fields     bytea NOT NULL, -- JSON
    note       bytea NOT NULL
);

CREATE INDEX {p}events_at ON {p}events (at, id);
CREATE INDEX {p}events_space_at ON {p}events (workspace, at, id);
CREATE INDEX {p}events_key_at ON {p}events (key_id, at, id);

CREATE TABLE {p}once (
    id      bytea PRIMARY KEY, -- SHA-256 of space and id
    value   bytea NOT NULL,
    expires bigint NOT NULL
);

CREATE INDEX {p}once_expires ON {p}once (expires);

CREATE TABLE {p}days (
    workspace bytea NOT NULL,
    key_id    bytea NOT NULL,
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
    content bytea NOT NULL -- JSON
);

INSERT INTO {p}ring (id, version, content) VALUES (1, 0, '[]');

-- The number of the last change, and what the latest ones were.
CREATE TABLE {p}feed (
    id  smallint PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO {p}feed (id, seq) VALUES (1, 0);

CREATE TABLE {p}notices (
    seq       bigint PRIMARY KEY,
    kind      smallint NOT NULL,
    workspace bytea NOT NULL,
    key_id    bytea NOT NULL,
    token     bytea NOT NULL
);
