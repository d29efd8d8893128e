-- Ids and names are VARBINARY: they are compared byte by byte, whatever
-- collation the database has, and may hold any bytes. Instants are
-- microseconds since 1970; -62135596800000000 is the zero time.
--
-- MySQL commits each statement by itself: one that ran before does nothing.

CREATE TABLE IF NOT EXISTS {p}instance (
    id             SMALLINT PRIMARY KEY,
    keys_off       SMALLINT NOT NULL DEFAULT 0,
    max_keys       BIGINT NOT NULL DEFAULT 0,
    require_expiry SMALLINT NOT NULL DEFAULT 0,
    max_lifetime   BIGINT NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  BIGINT NOT NULL DEFAULT -62135596800000000,
    epoch          BIGINT NOT NULL DEFAULT 0,
    updated        BIGINT NOT NULL DEFAULT -62135596800000000,
    version        BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO {p}instance (id) VALUES (1);

CREATE TABLE IF NOT EXISTS {p}workspaces (
    id             VARBINARY(1024) PRIMARY KEY,
    suspended      SMALLINT NOT NULL DEFAULT 0,
    deleted        SMALLINT NOT NULL DEFAULT 0,
    max_keys       BIGINT NOT NULL DEFAULT 0,
    require_expiry SMALLINT NOT NULL DEFAULT 0,
    max_lifetime   BIGINT NOT NULL DEFAULT 0, -- nanoseconds
    enforced_from  BIGINT NOT NULL DEFAULT -62135596800000000,
    epoch          BIGINT NOT NULL DEFAULT 0,
    updated        BIGINT NOT NULL DEFAULT -62135596800000000,
    version        BIGINT NOT NULL DEFAULT 0,
    held           BIGINT NOT NULL DEFAULT 0 -- keys not deleted, exact
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}keys (
    id             VARBINARY(255) PRIMARY KEY,
    workspace      VARBINARY(1024) NOT NULL,
    name           VARBINARY(1024) NOT NULL,
    name_folded    VARBINARY(1024), -- in lower case, where that differs
    id_folded      VARBINARY(255),
    permissions    MEDIUMBLOB NOT NULL, -- a space before and after each
    asked          MEDIUMBLOB NOT NULL,
    secrets        MEDIUMBLOB NOT NULL, -- JSON
    resources      MEDIUMBLOB NOT NULL, -- JSON
    not_after      BIGINT NOT NULL, -- 9223372036854775807 is never
    not_after_text VARBINARY(255) NOT NULL,
    disabled       SMALLINT NOT NULL,
    maker_kind     VARBINARY(255) NOT NULL,
    maker_id       VARBINARY(1024) NOT NULL,
    created        BIGINT NOT NULL,
    updated        BIGINT NOT NULL,
    last_used      BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    epoch          BIGINT NOT NULL,
    INDEX {p}keys_created (created, id),
    INDEX {p}keys_name (name, id),
    INDEX {p}keys_space_created (workspace, created, id),
    INDEX {p}keys_space_name (workspace, name, id),
    INDEX {p}keys_expiry (not_after, id),
    INDEX {p}keys_space_expiry (workspace, not_after, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS {p}tombstones (
    id    VARBINARY(255) PRIMARY KEY,
    at    BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    INDEX {p}tombstones_at (at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Epochs of keys that are kept elsewhere.
CREATE TABLE IF NOT EXISTS {p}marks (
    id        VARBINARY(255) PRIMARY KEY,
    workspace VARBINARY(1024) NOT NULL,
    epoch     BIGINT NOT NULL,
    secrets   MEDIUMBLOB NOT NULL -- JSON
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
    action     VARBINARY(255) NOT NULL,
    workspace  VARBINARY(1024) NOT NULL,
    key_id     VARBINARY(1024) NOT NULL,
    fields     MEDIUMBLOB NOT NULL, -- JSON
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
    content LONGBLOB NOT NULL -- JSON
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO {p}ring (id, version, content) VALUES (1, 0, '[]');

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
