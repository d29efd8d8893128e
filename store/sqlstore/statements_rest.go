package sqlstore

import "strings"

// limits are the statements of one-time ids, days, limits and sweeps.
func (s *statements) limits(dialect Dialect, fix func(string) string) {
	// MySQL's count of changed rows depends on how the host connects; so the
	// statement leaves word by LAST_INSERT_ID whether it was refused.
	s.spend = fix(dialect.pick(
		`INSERT INTO {p}once AS o (id, value, expires) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET value = excluded.value, expires = excluded.expires WHERE o.expires <= ?`,
		`INSERT INTO {p}once (id, value, expires) VALUES (?, ?, `+committed(dialect, `?`)+`) ON DUPLICATE KEY UPDATE
			value = IF(expires <= ?, VALUES(value), value),
			expires = IF(expires <= ?, VALUES(expires), IF(LAST_INSERT_ID(1) = 1, expires, expires))`,
		`INSERT INTO {p}once AS o (id, value, expires) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET value = excluded.value, expires = excluded.expires WHERE o.expires <= ?`))
	s.once = fix(`SELECT {standby}, value, expires FROM {p}once WHERE id = ?`)
	s.sweepOnce = fix(ended(dialect, "once", "expires", `1`))

	// A revocation outlives its token by the clock of whoever revoked it, too: by as
	// much as that clock differs from the server's, up to the life of the longest
	// token. Arguments: id, end, time left, caller's clock.
	s.revoke = fix(`INSERT INTO {p}revoked` + dialect.pick(" AS r", "", " AS r") + ` (id, ends)
		VALUES (?, {max}(?, {clock} + ? + ` + dialect.pick("LEAST", "LEAST", "min") + `(ABS({clock} - ?), ` + longestToken + `))) ` +
		dialect.pick(`ON CONFLICT (id) DO UPDATE SET ends = GREATEST(r.ends, excluded.ends)`,
			`ON DUPLICATE KEY UPDATE ends = GREATEST(ends, VALUES(ends))`,
			`ON CONFLICT (id) DO UPDATE SET ends = max(r.ends, excluded.ends)`))
	s.sweepRevoked = fix(ended(dialect, "revoked", "ends", `1`))

	s.addDay = fix(dialect.pick(
		`INSERT INTO {p}days AS d (workspace, key_id, day, logins, refusals) VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace, key_id, day)
			DO UPDATE SET logins = d.logins + excluded.logins, refusals = d.refusals + excluded.refusals`,
		`INSERT INTO {p}days (workspace, key_id, day, logins, refusals) VALUES (?, ?, ?, ?, ?)
			ON DUPLICATE KEY UPDATE logins = logins + VALUES(logins), refusals = refusals + VALUES(refusals)`,
		`INSERT INTO {p}days AS d (workspace, key_id, day, logins, refusals) VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace, key_id, day)
			DO UPDATE SET logins = d.logins + excluded.logins, refusals = d.refusals + excluded.refusals`))
	s.days = fix(`SELECT day, logins, refusals FROM {p}days WHERE workspace = ? AND key_id = ? AND day >= ? AND day < ? ORDER BY day`)
	s.pruneDays = fix(`DELETE FROM {p}days WHERE day < ?`)

	s.advances(dialect, fix)
}

// clock is the server's time in microseconds since 1970, whatever the time zone
// of the session. MySQL's and SQLite's stand still within a statement.
func clock(dialect Dialect) string {
	return dialect.pick(
		`(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`,
		`TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`,
		`CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`)
}

// nanoClock is the same in nanoseconds, as limits are kept.
func nanoClock(dialect Dialect) string { return `(` + clock(dialect) + ` * 1000)` }

// committed is a value that MySQL gives only where statements commit by
// themselves. Elsewhere it is a subquery of two rows, an error that the package
// puts into words.
func committed(dialect Dialect, value string) string {
	if dialect != MySQL {
		return value
	}
	return `IF(@@autocommit, ` + value + `, (SELECT 1 UNION SELECT 2))`
}

// advances are the statements of the limiter. Each reads the clock once. An
// arrival is returned as its distance from the clock.
func (s *statements) advances(dialect Dialect, fix func(string) string) {
	now := nanoClock(dialect)
	switch dialect {
	case PostgreSQL:
		// Arguments: id, step, step, window less two steps, id.
		s.advance = fix(`WITH c AS (SELECT ` + now + ` AS now),
			m AS (INSERT INTO {p}limits AS l (id, arrival) SELECT ?::bytea, c.now + ?::bigint FROM c ON CONFLICT (id) DO UPDATE
				SET arrival = GREATEST(l.arrival + ?::bigint, excluded.arrival) WHERE l.arrival - excluded.arrival <= ?::bigint
				RETURNING arrival)
			SELECT m.arrival - c.now, true FROM m, c
			UNION ALL SELECT l.arrival - c.now, false FROM {p}limits l, c WHERE l.id = ?::bytea AND NOT EXISTS (SELECT 1 FROM m)`)
	case MySQL:
		// The id of the insertion is one more than the distance or, of an
		// arrival that was not moved, its negative. Arguments: id, step, window
		// less step, step, step.
		s.advance = fix(`INSERT INTO {p}limits (id, arrival) VALUES (?, ` + committed(dialect, now+` + ?`) + `)
			ON DUPLICATE KEY UPDATE arrival = IF(arrival - ` + now + ` <= ?,
				IF(LAST_INSERT_ID(GREATEST(arrival - ` + now + `, 0) + ? + 1) = 0, arrival, GREATEST(arrival, ` + now + `) + ?),
				IF(LAST_INSERT_ID(` + now + ` - arrival - 1) = 0, arrival, arrival))`)
	case SQLite:
		// Arguments: id, step, step, window less two steps.
		s.advance = fix(`INSERT INTO {p}limits AS l (id, arrival) VALUES (?, ` + now + ` + ?) ON CONFLICT (id) DO UPDATE
			SET arrival = max(l.arrival + ?, excluded.arrival) WHERE l.arrival - excluded.arrival <= ?
			RETURNING arrival - ` + now)
	}
	s.arrival = fix(`SELECT {standby}, arrival - ` + now + ` FROM {p}limits WHERE id = ?`)
	s.capArrival = fix(`UPDATE {p}limits SET arrival = ` + now + ` + ? WHERE id = ? AND arrival - ` + now + ` > ?`)
	s.sweepLimits = fix(ended(dialect, "limits", "arrival", `1000`))
	s.clock = fix(`SELECT ` + clock(dialect))
}

// sweepAtOnce is how many rows are removed by one statement: as many as hold
// nobody up.
const sweepAtOnce = "1000"

// oldest removes the rows whose column is below the argument, some at a time.
func oldest(dialect Dialect, table, column string) string {
	if dialect == MySQL {
		return `DELETE FROM {p}` + table + ` WHERE ` + column + ` < ? ORDER BY ` + column + ` LIMIT ` + sweepAtOnce
	}
	rows := `(SELECT id FROM {p}` + table + ` WHERE ` + column + ` < ? ORDER BY ` + column + ` LIMIT ` + sweepAtOnce
	if dialect == PostgreSQL {
		// An array is looked up by the index, however many rows there are.
		return `DELETE FROM {p}` + table + ` WHERE id = ANY(ARRAY` + rows + ` FOR UPDATE SKIP LOCKED))`
	}
	return `DELETE FROM {p}` + table + ` WHERE id IN ` + rows + `)`
}

// ended removes rows whose column lies more than skew before the server's clock.
// unit is how many of the column's make a microsecond.
func ended(dialect Dialect, table, column, unit string) string {
	before := `(` + clock(dialect) + ` - ` + skew + `) * ` + unit
	if dialect == PostgreSQL {
		before = `(SELECT ` + before + `)` // evaluated once, and so compared through the index
	}
	return strings.Replace(oldest(dialect, table, column), "?", before, 1)
}
