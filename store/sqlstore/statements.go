package sqlstore

// keyColumns are the columns of a key in the order in which scanKey reads
// them.
const keyColumns = `k.id, k.workspace, k.name, k.permissions, k.asked, k.secrets, k.resources, k.not_after, k.not_after_text,
	k.disabled, k.maker_kind, k.maker_id, k.created, k.updated, k.last_used, k.version, k.epoch`

// workspaceColumns and instanceColumns are those of the settings.
const (
	workspaceColumns = `w.suspended, w.deleted, w.max_keys, w.require_expiry, w.max_lifetime, w.enforced_from,
	w.epoch, w.updated, w.version, w.held`
	instanceColumns = `i.keys_off, i.max_keys, i.require_expiry, i.max_lifetime, i.enforced_from,
	i.reminders_off, i.remind_before, i.epoch, i.updated, i.version`
)

// statements are the texts of all queries but those that list.
type statements struct {
	migrations   [][]string
	lockSchema   string
	unlockSchema string
	createSchema string
	version      string
	addVersion   string

	// fixed are all of those below.
	fixed []string

	lookup, lockKey, lockSecrets, insertKey, updateKey, deleteKey, setUse, setSecrets     string
	tombstone, addTombstone, buryWorkspace, deleteKeys, purge                             string
	claimPlace, readPlace, lockWorkspace, freePlace, addWorkspace, endWorkspace           string
	instance, lockInstance, setInstance, raiseInstance                                    string
	workspace, setWorkspace, raiseWorkspace                                               string
	addEvent, pruneEvents                                                                 string
	spend, once, sweepOnce                                                                string
	epochs, lockMark, setMark, deleteMark, raiseKey, raiseTombstone, revoke, sweepRevoked string
	ring, lockRing, setRing                                                               string
	addDay, days, pruneDays                                                               string
	advance, arrival, capArrival, sweepLimits, clock                                      string
	tell, count, addNotice, feed, head, pruneNotices                                      string
}

func newStatements(dialect Dialect, prefix string) statements {
	s := statements{
		migrations: migrations(dialect, prefix),
		lockSchema: dialect.translate(dialect.pick(
			`SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.{p}schema'))`,
			`SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.{p}schema')), 10)`, ``), prefix),
		unlockSchema: dialect.translate(dialect.pick(``, `DO RELEASE_LOCK(SHA1(CONCAT(DATABASE(), '.{p}schema')))`, ``), prefix),
		createSchema: dialect.translate(`CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`, prefix),
		version:      dialect.translate(`SELECT COALESCE(MAX(version), 0) FROM {p}schema`, prefix),
		addVersion:   dialect.translate(`INSERT INTO {p}schema (version) VALUES (?)`, prefix),
	}
	fix := func(text string) string {
		if text != "" {
			text = dialect.translate(text, prefix)
			s.fixed = append(s.fixed, text)
		}
		return text
	}
	s.keys(dialect, fix)
	s.settings(dialect, fix)
	s.rest(dialect, fix)
	s.limits(dialect, fix)
	s.notices(dialect, fix)
	return s
}

func (s *statements) keys(dialect Dialect, fix func(string) string) {
	s.lookup = fix(`SELECT ` + keyColumns + `, ` + workspaceColumns + `, ` + instanceColumns + `
		FROM {p}keys k JOIN {p}workspaces w ON w.id = k.workspace JOIN {p}instance i ON i.id = 1 WHERE k.id = ?`)
	s.lockKey = fix(`SELECT ` + keyColumns + ` FROM {p}keys k WHERE k.id = ?{lock}`)
	s.lockSecrets = fix(`SELECT workspace, last_used, secrets FROM {p}keys WHERE id = ?{lock}`)
	// An id that is taken adds no row.
	s.insertKey = fix(dialect.pick("INSERT", "INSERT IGNORE", "INSERT") + ` INTO {p}keys
		(id, workspace, name, name_folded, id_folded, permissions, asked, secrets, resources, not_after, not_after_text,
		disabled, maker_kind, maker_id, created, updated, last_used, version, epoch)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)` + dialect.pick(" ON CONFLICT DO NOTHING", "", " ON CONFLICT DO NOTHING"))
	s.updateKey = fix(`UPDATE {p}keys SET name = ?, name_folded = ?, permissions = ?, asked = ?, secrets = ?, resources = ?,
		not_after = ?, not_after_text = ?, disabled = ?, updated = ?, version = ?, epoch = ? WHERE id = ?`)
	s.deleteKey = fix(`DELETE FROM {p}keys WHERE id = ?`)
	s.setUse = fix(`UPDATE {p}keys SET last_used = ?, secrets = ? WHERE id = ?`)
	s.setSecrets = fix(`UPDATE {p}keys SET secrets = ? WHERE id = ?`)

	// MySQL reads what others committed since the transaction began only if
	// it locks.
	s.tombstone = fix(`SELECT epoch FROM {p}tombstones WHERE id = ?` + dialect.pick("", " LOCK IN SHARE MODE", ""))
	s.addTombstone = fix(`INSERT INTO {p}tombstones (id, at, epoch) VALUES (?, ?, ?)`)
	if dialect == PostgreSQL {
		// In one statement, so that the epochs are those of the rows deleted.
		s.buryWorkspace = fix(`WITH gone AS (DELETE FROM {p}keys WHERE workspace = ? RETURNING id, epoch)
			INSERT INTO {p}tombstones (id, at, epoch) SELECT id, ?::bigint, epoch + 1 FROM gone`)
	} else {
		s.buryWorkspace = fix(`INSERT INTO {p}tombstones (id, at, epoch) SELECT id, ?, epoch + 1 FROM {p}keys WHERE workspace = ?{lock}`)
		s.deleteKeys = fix(`DELETE FROM {p}keys WHERE workspace = ?`)
	}
	s.purge = fix(`DELETE FROM {p}tombstones WHERE at < ?`)

	// Takes a place under the limit and the workspace's lock; whoever finds
	// that there was none left, rolls back.
	s.claimPlace = fix(dialect.pick(
		`INSERT INTO {p}workspaces AS w (id, held) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET held = w.held + 1 RETURNING deleted, held`,
		`INSERT INTO {p}workspaces (id, held) VALUES (?, 1) ON DUPLICATE KEY UPDATE held = held + 1`,
		`INSERT INTO {p}workspaces AS w (id, held) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET held = w.held + 1 RETURNING deleted, held`))
	s.readPlace = fix(`SELECT deleted, held FROM {p}workspaces WHERE id = ?{lock}`)
	s.freePlace = fix(`UPDATE {p}workspaces SET held = held - 1 WHERE id = ?`)
}

func (s *statements) settings(dialect Dialect, fix func(string) string) {
	s.instance = fix(`SELECT ` + instanceColumns + ` FROM {p}instance i WHERE i.id = 1`)
	s.lockInstance = fix(`SELECT version, epoch FROM {p}instance WHERE id = 1{lock}`)
	s.setInstance = fix(`UPDATE {p}instance SET keys_off = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
		reminders_off = ?, remind_before = ?, epoch = ?, updated = ?, version = ? WHERE id = 1`)
	s.raiseInstance = fix(`UPDATE {p}instance SET epoch = {max}(epoch, ?) WHERE id = 1`)
	s.workspace = fix(`SELECT ` + workspaceColumns + ` FROM {p}workspaces w WHERE w.id = ?`)
	// Makes the row, or locks the one that is there.
	s.addWorkspace = fix(dialect.pick(
		`INSERT INTO {p}workspaces (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET id = excluded.id`,
		`INSERT INTO {p}workspaces (id) VALUES (?) ON DUPLICATE KEY UPDATE id = id`,
		`INSERT INTO {p}workspaces (id) VALUES (?) ON CONFLICT DO NOTHING`))
	s.lockWorkspace = fix(`SELECT ` + workspaceColumns + ` FROM {p}workspaces w WHERE w.id = ?{lock}`)
	s.setWorkspace = fix(`UPDATE {p}workspaces SET suspended = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
		epoch = ?, updated = ?, version = ? WHERE id = ?`)
	s.endWorkspace = fix(`UPDATE {p}workspaces SET deleted = 1, epoch = epoch + 1, version = version + 1, updated = ?, held = 0 WHERE id = ?`)
	s.raiseWorkspace = fix(`UPDATE {p}workspaces SET epoch = {max}(epoch, ?) WHERE id = ?`)
}

func (s *statements) rest(dialect Dialect, fix func(string) string) {
	s.addEvent = fix(dialect.pick("INSERT", "INSERT IGNORE", "INSERT") + ` INTO {p}events
		(id, at, actor_kind, actor_id, action, workspace, key_id, fields, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)` +
		dialect.pick(" ON CONFLICT DO NOTHING", "", " ON CONFLICT DO NOTHING"))
	s.pruneEvents = fix(oldest(dialect, "events", "at"))

	s.epochs = fix(`SELECT i.epoch, COALESCE(w.epoch, 0), k.workspace, k.epoch, k.secrets, m.workspace, m.epoch, m.secrets,
		(SELECT COUNT(*) FROM {p}revoked r WHERE r.id = ?)
		FROM {p}instance i LEFT JOIN {p}workspaces w ON w.id = ? LEFT JOIN {p}keys k ON k.id = ? LEFT JOIN {p}marks m ON m.id = ?
		WHERE i.id = 1`)
	s.lockMark = fix(`SELECT workspace, epoch FROM {p}marks WHERE id = ?{lock}`)
	s.setMark = fix(dialect.pick(
		`INSERT INTO {p}marks (id, workspace, epoch, secrets) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET epoch = excluded.epoch, secrets = excluded.secrets`,
		`INSERT INTO {p}marks (id, workspace, epoch, secrets) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE
			epoch = VALUES(epoch), secrets = VALUES(secrets)`,
		`INSERT INTO {p}marks (id, workspace, epoch, secrets) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET epoch = excluded.epoch, secrets = excluded.secrets`))
	s.deleteMark = fix(`DELETE FROM {p}marks WHERE id = ?`)
	s.raiseKey = fix(`UPDATE {p}keys SET epoch = {max}(epoch, ?) WHERE id = ?`)
	s.raiseTombstone = fix(`UPDATE {p}tombstones SET epoch = {max}(epoch, ?) WHERE id = ?`)
	s.revoke = fix(dialect.pick(
		`INSERT INTO {p}revoked AS r (id, ends) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET ends = GREATEST(r.ends, excluded.ends)`,
		`INSERT INTO {p}revoked (id, ends) VALUES (?, ?) ON DUPLICATE KEY UPDATE ends = GREATEST(ends, VALUES(ends))`,
		`INSERT INTO {p}revoked AS r (id, ends) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET ends = max(r.ends, excluded.ends)`))

	s.ring = fix(`SELECT version, content FROM {p}ring WHERE id = 1`)
	s.lockRing = fix(`SELECT version FROM {p}ring WHERE id = 1{lock}`)
	s.setRing = fix(`UPDATE {p}ring SET version = ?, content = ? WHERE id = 1`)
}

func (s *statements) notices(dialect Dialect, fix func(string) string) {
	if dialect == PostgreSQL {
		s.tell = fix(`WITH f AS (UPDATE {p}feed SET seq = seq + 1 WHERE id = 1 RETURNING seq),
			n AS (INSERT INTO {p}notices (seq, kind, workspace, key_id, token) SELECT seq, ?::smallint, ?::bytea, ?::bytea, ?::bytea FROM f)
			SELECT pg_notify('{p}notices', '') FROM f`)
	} else {
		s.count = fix(`UPDATE {p}feed SET seq = seq + 1 WHERE id = 1`)
		s.addNotice = fix(`INSERT INTO {p}notices (seq, kind, workspace, key_id, token) SELECT seq, ?, ?, ?, ? FROM {p}feed WHERE id = 1`)
	}
	s.head = fix(`SELECT seq FROM {p}feed WHERE id = 1`)
	s.feed = fix(`SELECT f.seq, n.seq, n.kind, n.workspace, n.key_id, n.token
		FROM {p}feed f LEFT JOIN {p}notices n ON n.seq > ? WHERE f.id = 1 ORDER BY n.seq LIMIT 1000`)
	s.pruneNotices = fix(`DELETE FROM {p}notices WHERE seq < ?`)
}
