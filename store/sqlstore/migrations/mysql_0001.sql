-- Ids, names and texts are VARBINARY: they are compared byte by byte, whatever
-- collation the database has. Instants are microseconds since 1970, and the zero
-- time is -62135596800000000. The views at the end show both to people.
--
-- MySQL commits each statement by itself: one that ran before does nothing.

CREATE TABLE IF NOT EXISTS {p}instance (
    id             SMALLINT PRIMARY KEY,
    keys_off       SMALLINT NOT NULL DEFAULT 0,
    direct_off     SMALLINT NOT NULL DEFAULT 0,
    max_keys       BIGINT NOT NULL DEFAULT 0,
    require_expiry SMALLINT NOT NULL DEFAULT 0,
    max_lifetime   BIGINT NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  BIGINT NOT NULL DEFAULT -62135596800000000,
    key_requests   BIGINT NOT NULL DEFAULT 0, -- a minute
    workspace_requests BIGINT NOT NULL DEFAULT 0,
    reminders_off  SMALLINT NOT NULL DEFAULT 0,
    remind_before  VARBINARY(255) NOT NULL DEFAULT '', -- JSON, nanoseconds
    epoch          BIGINT NOT NULL DEFAULT 0,
    updated        BIGINT NOT NULL DEFAULT -62135596800000000,
    version        BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO {p}instance (id) VALUES (1);

-- The version of the instance's settings, for changes to lock.
CREATE TABLE IF NOT EXISTS {p}stripes (
    id      SMALLINT PRIMARY KEY,
    version BIGINT NOT NULL DEFAULT 0,
    locks   BIGINT NOT NULL DEFAULT 0 -- written to lock the row
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO {p}stripes (id) VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15);

CREATE TABLE IF NOT EXISTS {p}workspaces (
    id             VARBINARY(1024) PRIMARY KEY,
    suspended      SMALLINT NOT NULL DEFAULT 0,
    deleted        SMALLINT NOT NULL DEFAULT 0,
    max_keys       BIGINT NOT NULL DEFAULT 0,
    require_expiry SMALLINT NOT NULL DEFAULT 0,
    max_lifetime   BIGINT NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  BIGINT NOT NULL DEFAULT -62135596800000000,
    key_requests   BIGINT NOT NULL DEFAULT 0, -- a minute
    workspace_requests BIGINT NOT NULL DEFAULT 0,
    epoch          BIGINT NOT NULL DEFAULT 0,
    updated        BIGINT NOT NULL DEFAULT -62135596800000000,
    version        BIGINT NOT NULL DEFAULT 0,
    held           BIGINT NOT NULL DEFAULT 0, -- keys not deleted, exact
    locks          BIGINT NOT NULL DEFAULT 0 -- written to lock the row
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}keys (
    id             VARBINARY(255) PRIMARY KEY,
    workspace      VARBINARY(1024) NOT NULL,
    name           VARBINARY(1024) NOT NULL,
    name_folded    VARBINARY(1024), -- in lower case, where that differs
    id_folded      VARBINARY(255),
    permissions    MEDIUMBLOB NOT NULL, -- a space before and after each
    requested      MEDIUMBLOB NOT NULL,
    admin          MEDIUMBLOB NOT NULL, -- of the permissions, those granted as admin permissions
    credentials    MEDIUMBLOB NOT NULL, -- JSON
    resources      MEDIUMBLOB NOT NULL, -- JSON
    not_after      BIGINT NOT NULL, -- 9223372036854775807 is never
    not_after_text VARBINARY(255) NOT NULL,
    disabled       SMALLINT NOT NULL,
    direct         SMALLINT NOT NULL,
    creator_kind   VARBINARY(255) NOT NULL,
    creator_id     VARBINARY(1024) NOT NULL,
    depth          BIGINT NOT NULL,
    created        BIGINT NOT NULL,
    updated        BIGINT NOT NULL,
    last_used      BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    epoch          BIGINT NOT NULL,
    locks          BIGINT NOT NULL DEFAULT 0, -- written to lock the row
    INDEX {p}keys_created (created, id),
    INDEX {p}keys_name (name, id),
    INDEX {p}keys_space_created (workspace, created, id),
    INDEX {p}keys_space_name (workspace, name, id),
    INDEX {p}keys_expiry (not_after, id),
    INDEX {p}keys_space_expiry (workspace, not_after, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The key of each credential, so that no two keys have a credential with one id.
CREATE TABLE IF NOT EXISTS {p}credentials (
    id     VARBINARY(255) PRIMARY KEY,
    key_id VARBINARY(255) NOT NULL,
    INDEX {p}credentials_key (key_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The creators of each key and of its credentials.
CREATE TABLE IF NOT EXISTS {p}creators (
    creator VARBINARY(1024) NOT NULL,
    created BIGINT NOT NULL, -- when the key was created
    key_id VARBINARY(255) NOT NULL,
    PRIMARY KEY (creator, created, key_id),
    INDEX {p}creators_key (key_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}tombstones (
    id VARBINARY(255) PRIMARY KEY,
    at BIGINT NOT NULL,
    INDEX {p}tombstones_at (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}revoked (
    id   BINARY(32) PRIMARY KEY, -- SHA-256 of the token's id
    ends BIGINT NOT NULL,
    INDEX {p}revoked_ends (ends)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}events (
    id         VARBINARY(255) PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind VARBINARY(255) NOT NULL,
    actor_id   VARBINARY(1024) NOT NULL,
    actor_name MEDIUMBLOB NOT NULL,
    address    VARBINARY(255) NOT NULL,
    action     VARBINARY(255) NOT NULL,
    workspace  VARBINARY(1024) NOT NULL,
    key_id     VARBINARY(1024) NOT NULL,
    key_name   MEDIUMBLOB NOT NULL,
    changes    MEDIUMBLOB NOT NULL, -- JSON
    note       MEDIUMBLOB NOT NULL,
    INDEX {p}events_at (at, id),
    INDEX {p}events_space_at (workspace, at, id),
    INDEX {p}events_key_at (key_id, at, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}once (
    id      BINARY(32) PRIMARY KEY, -- SHA-256 of space and id
    value   MEDIUMBLOB NOT NULL,
    expires BIGINT NOT NULL,
    INDEX {p}once_expires (expires)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Entries of the host's lists that are in use.
CREATE TABLE IF NOT EXISTS {p}lists (
    list        VARBINARY(255) NOT NULL,
    name        VARBINARY(255) NOT NULL,
    fingerprint VARBINARY(255) NOT NULL,
    until       BIGINT NOT NULL, -- 9223372036854775807: until it is removed
    PRIMARY KEY (list, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}days (
    workspace VARBINARY(1024) NOT NULL,
    key_id    VARBINARY(255) NOT NULL,
    day       BIGINT NOT NULL, -- since 1970
    logins    BIGINT NOT NULL,
    refusals  BIGINT NOT NULL,
    PRIMARY KEY (workspace, key_id, day),
    INDEX {p}days_day (day)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}limits (
    id      BINARY(32) PRIMARY KEY, -- SHA-256 of the id
    arrival BIGINT NOT NULL, -- nanoseconds since 1970
    INDEX {p}limits_arrival (arrival)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}ring (
    id      SMALLINT PRIMARY KEY,
    version BIGINT NOT NULL,
    content MEDIUMBLOB NOT NULL -- JSON
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The number of the last change, and what the latest ones were.
CREATE TABLE IF NOT EXISTS {p}feed (
    id  SMALLINT PRIMARY KEY,
    seq BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO {p}feed (id, seq) VALUES (1, 0);

CREATE TABLE IF NOT EXISTS {p}notices (
    seq       BIGINT PRIMARY KEY,
    kind      SMALLINT NOT NULL,
    workspace VARBINARY(1024) NOT NULL,
    key_id    VARBINARY(255) NOT NULL,
    token     MEDIUMBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- For people: texts, and times in UTC, NULL where no time is set. No digest is
-- shown.

CREATE OR REPLACE VIEW {p}keys_view AS SELECT
    CONVERT(id USING utf8mb4) AS id,
    CONVERT(workspace USING utf8mb4) AS workspace,
    CONVERT(name USING utf8mb4) AS name,
    TRIM(CONVERT(permissions USING utf8mb4)) AS permissions,
    CASE WHEN not_after BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, not_after, '1970-01-01 00:00:00') END AS not_after,
    disabled <> 0 AS disabled,
    direct <> 0 AS direct,
    CONVERT(creator_kind USING utf8mb4) AS creator_kind,
    CONVERT(creator_id USING utf8mb4) AS creator_id,
    depth,
    CASE WHEN created BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, created, '1970-01-01 00:00:00') END AS created,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, updated, '1970-01-01 00:00:00') END AS updated,
    CASE WHEN last_used BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, last_used, '1970-01-01 00:00:00') END AS last_used,
    version
FROM {p}keys;

CREATE OR REPLACE VIEW {p}workspaces_view AS SELECT
    CONVERT(id USING utf8mb4) AS id,
    suspended <> 0 AS suspended,
    deleted <> 0 AS deleted,
    max_keys,
    require_expiry <> 0 AS require_expiry,
    max_lifetime / 1000000000 AS max_lifetime_seconds,
    CASE WHEN enforced_from BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, enforced_from, '1970-01-01 00:00:00') END AS enforced_from,
    key_requests,
    workspace_requests,
    CASE WHEN updated BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, updated, '1970-01-01 00:00:00') END AS updated,
    version,
    held AS number_of_keys
FROM {p}workspaces;

CREATE OR REPLACE VIEW {p}events_view AS SELECT
    CONVERT(id USING utf8mb4) AS id,
    CASE WHEN at BETWEEN -62135596799999999 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, at, '1970-01-01 00:00:00') END AS at,
    CONVERT(actor_kind USING utf8mb4) AS actor_kind,
    CONVERT(actor_id USING utf8mb4) AS actor_id,
    CONVERT(actor_name USING utf8mb4) AS actor_name,
    CONVERT(address USING utf8mb4) AS address,
    CONVERT(action USING utf8mb4) AS action,
    CONVERT(workspace USING utf8mb4) AS workspace,
    CONVERT(key_id USING utf8mb4) AS key_id,
    CONVERT(key_name USING utf8mb4) AS key_name,
    CONVERT(changes USING utf8mb4) AS changes,
    CONVERT(note USING utf8mb4) AS note
FROM {p}events;

CREATE OR REPLACE VIEW {p}credentials_view AS SELECT
    CONVERT(k.id USING utf8mb4) AS key_id,
    CONVERT(k.workspace USING utf8mb4) AS workspace,
    c.id,
    CASE WHEN c.is_key THEN 'public_key' WHEN c.is_trust THEN 'trust' ELSE 'secret' END AS kind,
    c.name,
    c.hint,
    c.issuer,
    c.claims,
    c.creator_kind,
    c.creator_id,
    CASE WHEN c.created > '0001-01-01T00:00:00Z' THEN CAST(REPLACE(TRIM('Z' FROM c.created), 'T', ' ') AS DATETIME(6)) END AS created,
    CASE WHEN c.not_after > '0001-01-01T00:00:00Z' THEN CAST(REPLACE(TRIM('Z' FROM c.not_after), 'T', ' ') AS DATETIME(6)) END AS not_after,
    CASE WHEN c.last_used > '0001-01-01T00:00:00Z' THEN CAST(REPLACE(TRIM('Z' FROM c.last_used), 'T', ' ') AS DATETIME(6)) END AS last_used
FROM {p}keys k, JSON_TABLE(CONVERT(k.credentials USING utf8mb4), '$[*]' COLUMNS (
    id           VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.id',
    is_key       SMALLINT EXISTS PATH '$.public_key',
    is_trust     SMALLINT EXISTS PATH '$.trust',
    name         VARCHAR(1024) CHARACTER SET utf8mb4 PATH '$.name',
    hint         VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.hint',
    issuer       VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.trust.issuer',
    claims       JSON PATH '$.trust.claims',
    creator_kind VARCHAR(255) CHARACTER SET utf8mb4 PATH '$.created_by.kind',
    creator_id   VARCHAR(1024) CHARACTER SET utf8mb4 PATH '$.created_by.id',
    created      VARCHAR(40) PATH '$.created',
    not_after    VARCHAR(40) PATH '$.not_after',
    last_used    VARCHAR(40) PATH '$.last_used'
)) c;
