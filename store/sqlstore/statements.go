package sqlstore

import "strings"

// keyColumns are the columns of a key in the order of keyRow.columns.
const keyColumns = `k.id, k.workspace, k.name, k.permissions, k.asked, k.admin, k.secrets, k.resources, k.not_after, k.not_after_text,
	k.disabled, k.maker_kind, k.maker_id, k.depth, k.created, k.updated, k.last_used, k.version, k.epoch`

// workspaceColumns and instanceColumns are those of the settings.
const (
	workspaceColumns = `w.suspended, w.deleted, w.max_keys, w.require_expiry, w.max_lifetime, w.enforced_from,
	w.epoch, w.updated, w.version, w.held`
	instanceColumns = `i.keys_off, i.max_keys, i.require_expiry, i.max_lifetime, i.enforced_from,
	i.reminders_off, i.remind_before, i.epoch, i.updated, i.version`
)

// statements are the texts of all queries but those that list keys or events.
type statements struct {
	migrations   [][]string
	lockSchema   string
	createSchema string
	version      string
	addVersion   string

	createTurn, addTurn, turn, setTurn string // of migrations on Galera

	// fixed are all of those below that are the same each time.
	fixed []string

	lookup, insertKey, updateKey, deleteKey                 string
	lockSecrets, setUse, setSecrets                         string
	tombstone, addTombstone, purge                          string
	addMaker, deleteMaker, deleteMakers                     string
	lockInstance, changeStripes, lockStripe                 string
	lockWorkspace, lockKey, lockKeyVersion                  string
	instance, setInstance, workspace, setWorkspace          string
	deleteKeys, deleteMakersOf, addTombstones, endWorkspace string
	addEvent, pruneEvents                                   string
	spend, once, sweepOnce                                  string
	epochs, revoke, sweepRevoked                            string
	ring, addRing, lockRing, setRing                        string
	entries, addEntry, lockEntry, deleteEntry               string
	addDay, days, pruneDays                                 string
	advance, arrival, capArrival, sweepLimits, clock        string
	begin, prepareNotice, commitNotice                      string
	count, addNotice, feed, head, pruneNotices              string
}

func newStatements(dialect Dialect, prefix string) statements {
	s := statements{
		migrations: migrations(dialect, prefix),
		lockSchema: dialect.translate(dialect.pick(
			`SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.{p}schema'))`,
			`SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.{p}schema')), 10)`, ``), prefix),
		createSchema: dialect.translate(`CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`, prefix),
		version:      dialect.translate(`SELECT COALESCE(MAX(version), 0) FROM {p}schema`, prefix),
		addVersion:   dialect.translate(dialect.pick(`INSERT`, `INSERT IGNORE`, `INSERT`)+` INTO {p}schema (version) VALUES (?)`, prefix),
	}
	s.createTurn = dialect.translate(`CREATE TABLE IF NOT EXISTS {p}migrating (id SMALLINT PRIMARY KEY, turn BIGINT NOT NULL) ENGINE = InnoDB`, prefix)
	s.addTurn = dialect.translate(`INSERT IGNORE INTO {p}migrating (id, turn) VALUES (1, 0)`, prefix)
	s.turn = dialect.translate(`SELECT turn FROM {p}migrating WHERE id = 1`, prefix)
	s.setTurn = dialect.translate(`UPDATE {p}migrating SET turn = ? WHERE id = 1 AND turn = ?`, prefix)
	fix := func(text string) string {
		if text != "" {
			text = dialect.translate(text, prefix)
			if !strings.Contains(text, processClock) {
				s.fixed = append(s.fixed, text)
			}
		}
		return text
	}
	s.keys(dialect, fix)
	s.locks(dialect, fix)
	s.settings(dialect, fix)
	s.rest(dialect, fix)
	s.limits(dialect, fix)
	s.notices(dialect, fix)
	return s
}

func (s *statements) keys(dialect Dialect, fix func(string) string) {
	insert, ignore := dialect.insertNew()
	// There is always a row, so that a standby says that it is one.
	s.lookup = fix(`SELECT {standby}, ` + keyColumns + `, ` + workspaceColumns + `, ` + instanceColumns + `
		FROM {p}instance i LEFT JOIN {p}keys k ON k.id = ? LEFT JOIN {p}workspaces w ON w.id = k.workspace WHERE i.id = 1`)
	s.lockSecrets = fix(`SELECT workspace, last_used, secrets FROM {p}keys WHERE id = ?{lock}`)
	// An id that is taken adds no row.
	s.insertKey = fix(insert + ` INTO {p}keys
		(id, workspace, name, name_folded, id_folded, permissions, asked, admin, secrets, resources, not_after, not_after_text,
		disabled, maker_kind, maker_id, depth, created, updated, last_used, version, epoch)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, {clock})` + ignore)
	s.updateKey = fix(`UPDATE {p}keys SET name = ?, name_folded = ?, permissions = ?, asked = ?, admin = ?, secrets = ?, resources = ?,
		not_after = ?, not_after_text = ?, disabled = ?, updated = ?, version = version + 1, epoch = {epoch} WHERE id = ?`)
	s.deleteKey = fix(`DELETE FROM {p}keys WHERE id = ?`)
	s.setUse = fix(`UPDATE {p}keys SET last_used = ?, secrets = ? WHERE id = ?`)
	s.setSecrets = fix(`UPDATE {p}keys SET secrets = ? WHERE id = ?`)

	// MySQL reads what others committed since the transaction began only if
	// it locks.
	s.tombstone = fix(`SELECT at FROM {p}tombstones WHERE id = ?` + dialect.pick("", " LOCK IN SHARE MODE", ""))
	s.addTombstone = fix(`INSERT INTO {p}tombstones (id, at) VALUES (?, ?)`)
	s.purge = fix(`DELETE FROM {p}tombstones WHERE at < ?`)

	s.addMaker = fix(`INSERT INTO {p}makers (maker, made, key_id) VALUES (?, ?, ?)`)
	s.deleteMaker = fix(`DELETE FROM {p}makers WHERE key_id = ? AND maker = ?`)
	s.deleteMakers = fix(`DELETE FROM {p}makers WHERE key_id = ?`)
}

// locks are the statements of batch.lock. Those of MySQL write the row, since
// the nodes of a Galera cluster compare what transactions wrote and not what
// they locked. They return what they found by LAST_INSERT_ID.
func (s *statements) locks(dialect Dialect, fix func(string) string) {
	s.lockInstance = fix(`SELECT version FROM {p}instance WHERE id = 1{lock}`)
	// All of them, and said so for MySQL's sql_safe_updates.
	s.changeStripes = fix(`UPDATE {p}stripes SET version = version + 1 WHERE id >= 0`)
	s.lockStripe = fix(dialect.pick(
		`SELECT version FROM {p}stripes WHERE id = ? FOR UPDATE`,
		`UPDATE {p}stripes SET locks = locks + 1 + 0 * LAST_INSERT_ID(version) WHERE id = ?`,
		`SELECT version FROM {p}stripes WHERE id = ?`))
	// Makes the row if need be, and counts the keys that come in or go.
	workspace := `INSERT INTO {p}workspaces AS w (id, held) VALUES (?, ?)
		ON CONFLICT (id) DO UPDATE SET held = w.held + excluded.held RETURNING version, deleted, held`
	s.lockWorkspace = fix(dialect.pick(workspace,
		`INSERT INTO {p}workspaces (id, held) VALUES (?, ?) ON DUPLICATE KEY UPDATE held = held + VALUES(held),
			locks = locks + 1 + 0 * LAST_INSERT_ID((deleted * 2147483648 + version) * 2147483648 + {max}(held, 0))`, workspace))
	s.lockKey = fix(`SELECT version, workspace, secrets, maker_id, created FROM {p}keys WHERE id = ?{lock}`)
	s.lockKeyVersion = fix(dialect.pick(
		`SELECT version FROM {p}keys WHERE id = ? FOR UPDATE`,
		`UPDATE {p}keys SET locks = locks + 1 + 0 * LAST_INSERT_ID(version) WHERE id = ?`,
		`SELECT version FROM {p}keys WHERE id = ?`))
}

func (s *statements) settings(dialect Dialect, fix func(string) string) {
	s.instance = fix(`SELECT {standby}, ` + instanceColumns + ` FROM {p}instance i WHERE i.id = 1`)
	s.setInstance = fix(`UPDATE {p}instance SET keys_off = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
		reminders_off = ?, remind_before = ?, updated = ?, version = version + 1, epoch = {epoch} WHERE id = 1`)
	s.workspace = fix(`SELECT {standby}, ` + workspaceColumns + `
		FROM {p}instance i LEFT JOIN {p}workspaces w ON w.id = ? WHERE i.id = 1`)
	s.setWorkspace = fix(`UPDATE {p}workspaces SET suspended = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
		updated = ?, version = version + 1, epoch = {epoch} WHERE id = ?`)

	if dialect == PostgreSQL {
		// Parts of one statement, the first of them named deleted.
		s.deleteKeys = fix(`DELETE FROM {p}keys WHERE workspace = ? RETURNING id`)
		s.deleteMakersOf = fix(`DELETE FROM {p}makers USING deleted WHERE key_id = deleted.id`)
		s.addTombstones = fix(`INSERT INTO {p}tombstones (id, at) SELECT id, ?::bigint FROM deleted`)
	} else {
		s.addTombstones = fix(`INSERT INTO {p}tombstones (id, at) SELECT id, ? FROM {p}keys WHERE workspace = ?{lock}`)
		// MariaDB would read, and lock, all makers for a subquery.
		s.deleteMakersOf = fix(dialect.pick(``,
			`DELETE s FROM {p}keys k STRAIGHT_JOIN {p}makers s ON s.key_id = k.id WHERE k.workspace = ?`,
			`DELETE FROM {p}makers WHERE key_id IN (SELECT id FROM {p}keys WHERE workspace = ?)`))
		s.deleteKeys = fix(`DELETE FROM {p}keys WHERE workspace = ?`)
	}
	s.endWorkspace = fix(`UPDATE {p}workspaces SET deleted = 1, epoch = {max}(epoch + 1, {clock}), version = version + 1,
		updated = ?, held = 0 WHERE id = ?`)
}

func (s *statements) rest(dialect Dialect, fix func(string) string) {
	insert, ignore := dialect.insertNew()
	s.addEvent = fix(insert + ` INTO {p}events
		(id, at, actor_kind, actor_id, action, workspace, key_id, fields, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)` + ignore)
	s.pruneEvents = fix(oldest(dialect, "events", "at"))

	s.epochs = fix(`SELECT {standby}, i.version, i.epoch, w.epoch, k.workspace, k.epoch, k.secrets, (SELECT COUNT(*) FROM {p}revoked r WHERE r.id = ?)
		FROM {p}instance i LEFT JOIN {p}keys k ON k.id = ? LEFT JOIN {p}workspaces w ON w.id = k.workspace WHERE i.id = 1`)

	// Another row is there always, so that the answer always has one, which is checked.
	s.ring = fix(`SELECT COALESCE(r.version, 0), COALESCE(r.content, '[]') FROM {p}instance i LEFT JOIN {p}ring r ON r.id = 1 WHERE i.id = 1`)
	s.addRing = fix(insert + ` INTO {p}ring (id, version, content) VALUES (1, 0, ?)` + ignore)
	s.lockRing = fix(`SELECT version FROM {p}ring WHERE id = 1{lock}`)
	s.setRing = fix(`UPDATE {p}ring SET version = ?, content = ? WHERE id = 1`)

	s.entries = fix(`SELECT list, name, fingerprint, until FROM {p}lists ORDER BY list, name`)
	// Makes the entry, or locks the one that is there and keeps its later end.
	entry := `INSERT INTO {p}lists AS l (list, name, fingerprint, until) VALUES (?, ?, ?, ?)
		ON CONFLICT (list, name) DO UPDATE SET until = {max}(l.until, excluded.until)`
	s.addEntry = fix(dialect.pick(entry, `INSERT INTO {p}lists (list, name, fingerprint, until) VALUES (?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE until = {max}(until, VALUES(until))`, entry))
	s.lockEntry = fix(`SELECT fingerprint FROM {p}lists WHERE list = ? AND name = ?{lock}`)
	s.deleteEntry = fix(`DELETE FROM {p}lists WHERE list = ? AND name = ?`)
}

func (s *statements) notices(dialect Dialect, fix func(string) string) {
	if dialect == PostgreSQL {
		// Both are sent without arguments and so in one round trip each. The row
		// of {p}feed is locked while the server works, never while it waits for
		// the client.
		s.begin = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000`
		s.commitNotice = fix(`WITH n AS (SELECT current_setting('latchkey.notice')::json AS n),
			f AS (UPDATE {p}feed SET seq = seq + 1 WHERE id = 1 RETURNING seq),
			added AS (INSERT INTO {p}notices (seq, kind, workspace, key_id, token)
				SELECT f.seq, (n->>'kind')::smallint, n->>'workspace', n->>'key', n->>'token' FROM f, n)
			SELECT pg_notify('{p}notices', '') FROM f; COMMIT`)
		s.prepareNotice = fix(`SELECT set_config('latchkey.notice', ?, true) AS notice`)
	} else {
		s.count = fix(`UPDATE {p}feed SET seq = seq + 1 WHERE id = 1`)
		s.addNotice = fix(`INSERT INTO {p}notices (seq, kind, workspace, key_id, token) SELECT seq, ?, ?, ?, ? FROM {p}feed WHERE id = 1`)
	}
	s.head = fix(`SELECT {standby}, seq FROM {p}feed WHERE id = 1`)
	s.feed = fix(`SELECT {standby}, f.seq, n.seq, n.kind, n.workspace, n.key_id, n.token
		FROM {p}feed f LEFT JOIN {p}notices n ON n.seq > ? WHERE f.id = 1 ORDER BY n.seq LIMIT 1000`)
	s.pruneNotices = fix(`DELETE FROM {p}notices WHERE seq < ?`)
}
