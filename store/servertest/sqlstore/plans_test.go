package sqlstore_test

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// With 100,000 keys, half of them in one workspace, PostgreSQL finds each row by an index.
// It scans no large table, and sorts nothing for a page.
func TestPlans(t *testing.T) {
	e := engines[0]
	driver, source := e.space(t)
	db, p := tapped(t, driver, source)
	st := e.tables(t, db, sqlstore.Config{}).Store()
	ctx := context.Background()
	for _, fill := range []string{
		`INSERT INTO latchkey_workspaces (id, held) SELECT 'team-' || n, 100 FROM generate_series(0, 19999) n`,
		`INSERT INTO latchkey_keys SELECT 'key-' || md5(n::text), 'team-' || CASE WHEN n % 2 = 0 THEN 7 ELSE n % 1000 END, 'name ' || md5((-n)::text), NULL, NULL,
			' project.list project.read ', ' project.* ', '', '[{"id":"s1-key-' || md5(n::text) || '","hint":"Ab1x","digest":"hmac-sha256$1$c2VjcmV0"}]', '[]',
			CASE WHEN n % 3 = 0 THEN 9223372036854775807 ELSE 1772366400000000 + n::bigint * 60000000 END, '', 0, 0, 'owner', 'person-' || CASE WHEN n % 2 = 0 THEN 7 ELSE n % 1000 END, 0,
			1772366400000000 + n * 1000000::bigint, 1772366400000000, -62135596800000000, 1, 1 FROM generate_series(1, 100000) n`,
		`INSERT INTO latchkey_credentials SELECT 's1-' || id, id FROM latchkey_keys`,
		`INSERT INTO latchkey_creators SELECT creator_id, created, id FROM latchkey_keys`,
		`INSERT INTO latchkey_lists SELECT 'signers', n::text, '', 0 FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_tombstones SELECT 'deleted-' || n, n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_revoked SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_once SELECT sha256(n::text::bytea), '', n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_limits SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_days SELECT 'team-' || n % 1000, n::text, n % 365, 1, 1 FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_notices SELECT n, 1, '', '', '' FROM generate_series(980001, 1000000) n`,
		`UPDATE latchkey_feed SET seq = 1000000`,
		`INSERT INTO latchkey_events SELECT n::text, n, '', '', '', '', 'key.create', 'team-' || CASE WHEN n % 2 = 0 THEN 7 ELSE n % 1000 END, 'key-' || n, '', '[]', '' FROM generate_series(1, 50000) n`,
		`ANALYZE`,
	} {
		_, err := db.ExecContext(ctx, fill)
		require.NoError(t, err)
	}

	keyID := "key-" + "c4ca4238a0b923820dcc509a6f75849b" // of n = 1
	for _, op := range operations(t, st, keyID) {
		t.Run(op.name, func(t *testing.T) {
			p.recorded()
			op.do(t)
			seen := p.recorded()
			_, found := find(seen, regexp.MustCompile(op.wants).MatchString)
			require.True(t, found, "no statement of %v matches %s", seen, op.wants)
			for _, s := range seen {
				if strings.HasPrefix(s.text, "BEGIN") || s.text == "COMMIT" {
					continue
				}
				if op.args != nil {
					if !regexp.MustCompile(op.wants).MatchString(s.text) {
						continue
					}
					s.args = op.args
				}
				plan := explain(t, db, s)
				require.NotRegexp(t, scan, plan)
				if op.sorted {
					require.NotContains(t, plan, "Sort")
				}
			}
		})
	}
}

// Tables of one row may be scanned.
var scan = regexp.MustCompile(`Seq Scan on latchkey_(keys|workspaces|creators|credentials|tombstones|revoked|events|once|days|limits|lists|notices)`)

// operation is a call whose plans are checked.
type operation struct {
	name   string
	wants  string // a pattern that one of the call's statements must match
	do     func(t *testing.T)
	args   []any // unless nil, replace the statement's, and only this statement is checked
	sorted bool  // the rows are sorted by an index
}

func operations(t *testing.T, st store.Store, keyID string) []operation {
	t.Helper()
	ctx := context.Background()
	ends := func(err error) func(*testing.T) { return func(t *testing.T) { t.Helper(); require.NoError(t, err) } }
	made := key("team-1", "made")
	start := time.UnixMicro(1772366400000000)
	all := []operation{
		{name: "look-up", wants: `LEFT JOIN latchkey_keys k ON`, do: func(t *testing.T) {
			_, err := st.Keys.Lookup(ctx, keyID)
			ends(err)(t)
		}},
		{name: "look-up of a secret", wants: `LEFT JOIN latchkey_credentials s ON`, do: func(t *testing.T) {
			found, err := st.Secrets.LookupSecret(ctx, "s1-"+keyID)
			ends(err)(t)
			require.Equal(t, keyID, found.Key.ID)
		}},
		{name: "epochs", wants: `FROM latchkey_revoked`, do: func(t *testing.T) {
			_, err := st.Epochs.Read(ctx, store.TokenRef{Workspace: "team-1", Key: keyID, Credential: "s1-" + keyID, TokenID: "token"})
			ends(err)(t)
		}},
		{name: "settings", wants: `LEFT JOIN latchkey_workspaces w ON`, do: func(t *testing.T) {
			_, err := st.Settings.Workspace(ctx, "team-1")
			ends(err)(t)
		}},
		{name: "a page of workspaces", wants: `FROM latchkey_workspaces w WHERE`, sorted: true, do: func(t *testing.T) {
			_, err := st.Workspaces.List(ctx, "team-1", 100)
			ends(err)(t)
		}},
		{name: "creation, tombstone", wants: `SELECT at FROM latchkey_tombstones`, do: func(t *testing.T) {
			ends(st.Keys.Create(ctx, made, 1000, event("made")))(t)
		}},
		{name: "change, lock of the key", wants: `FROM latchkey_keys WHERE id = \$1 FOR UPDATE`, do: func(t *testing.T) {
			ends(st.Keys.Update(ctx, made, event("changed")))(t)
		}},
		{name: "change, preconditions", wants: `FROM latchkey_stripes`, do: func(t *testing.T) {
			c := event("changed again")
			c.Once = &store.OnceID{Space: "space", ID: "changed", Expires: noon.Add(time.Hour)}
			c.Preconditions = []store.Precondition{{}, {Workspace: "team-1"}, {Key: keyID, Version: 1}}
			changed := made
			changed.Version, changed.Credentials = 2, slices.Clone(made.Credentials)
			changed.Credentials[0].ID, changed.Credentials[0].CreatedBy = "s2-"+made.ID, store.ActorRef{Kind: "owner", ID: "person-2"}
			ends(st.Keys.Update(ctx, changed, c))(t)
			changed.Version, changed.Credentials[0].ID, changed.Credentials[0].CreatedBy.ID = 3, "s3-"+made.ID, "person-3"
			ends(st.Keys.Update(ctx, changed, event("changed to another creator")))(t)
		}},
		{name: "deletion", wants: `DELETE FROM latchkey_keys WHERE id`, do: func(t *testing.T) {
			ends(st.Keys.Delete(ctx, "team-1", "made", 0, noon, event("deleted")))(t)
		}},
		{name: "deletion, limit check", wants: `INSERT INTO latchkey_workspaces`, do: func(t *testing.T) {
			again := key("team-1", "again")
			ends(st.Keys.Create(ctx, again, store.NoLimit, event("again")))(t)
			ends(st.Keys.Delete(ctx, "team-1", "again", 0, noon, event("deleted again")))(t)
		}},
		{name: "deletion of all, lock of the keys", wants: `FROM latchkey_keys WHERE workspace = \$1 ORDER BY id FOR UPDATE`, do: func(t *testing.T) {
			ends(st.Settings.DeleteWorkspace(ctx, "team-8", noon, event("workspace 8 deleted")))(t)
		}},
		{name: "deletion of all", wants: `DELETE FROM latchkey_keys WHERE workspace`, do: func(t *testing.T) {
			ends(st.Settings.DeleteWorkspace(ctx, "team-9", noon, event("workspace deleted")))(t)
		}},
		{name: "one-time id", wants: `FROM latchkey_once WHERE id`, do: func(t *testing.T) {
			_, err := st.OnceIDs.Find(ctx, "space", "id", noon)
			require.ErrorIs(t, err, store.ErrNotFound)
		}},
		{name: "limiter", wants: `FROM latchkey_limits WHERE id`, do: func(t *testing.T) {
			_, _, err := st.Limiter.Advance(ctx, "id", noon, 0, time.Minute)
			ends(err)(t)
		}},
		{name: "lists", wants: `latchkey_lists WHERE list`, do: func(t *testing.T) {
			ends(st.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: "7"}))(t)
			ends(st.HostLists.Forget(ctx, store.Peppers, "7"))(t)
		}},
		{name: "days of a key", wants: `FROM latchkey_days`, do: func(t *testing.T) {
			_, err := st.Usage.ByDay(ctx, "team-1", keyID, time.Unix(0, 0), time.Unix(86400, 0))
			ends(err)(t)
		}},
		{name: "notices", wants: `LEFT JOIN latchkey_notices`, args: []any{int64(999_990)}, do: func(t *testing.T) {
			w := watch(t, st)
			w.until(t, isHeartbeat)
			ends(st.Epochs.Revoke(ctx, "token", noon, noon))(t)
			w.until(t, isChange)
			w.cancel()
			require.ErrorIs(t, w.end(t), context.Canceled)
		}},
		{name: "old events", wants: `DELETE FROM latchkey_events`, args: []any{int64(1)}, do: func(t *testing.T) {
			_, err := st.Events.Prune(ctx, time.UnixMicro(1))
			ends(err)(t)
		}},
		{name: "old tombstones", wants: `DELETE FROM latchkey_tombstones`, args: []any{int64(1)}, do: func(t *testing.T) {
			_, err := st.Upkeep.Purge(ctx, time.UnixMicro(1))
			ends(err)(t)
		}},
		{name: "old one-time ids", wants: `DELETE FROM latchkey_once`, args: []any{}, do: func(t *testing.T) {
			for range sweepEvery {
				ends(st.OnceIDs.Spend(ctx, store.OnceID{Space: "space", ID: "again", Expires: noon}, noon))(t)
			}
		}},
		{name: "expired revocations", wants: `DELETE FROM latchkey_revoked`, args: []any{}, do: func(t *testing.T) {
			for range sweepEvery {
				ends(st.Epochs.Revoke(ctx, "token", noon, noon))(t)
			}
		}},
		{name: "old arrivals", wants: `DELETE FROM latchkey_limits`, args: []any{}, do: func(t *testing.T) {
			for range sweepEvery {
				_, _, err := st.Limiter.Advance(ctx, "client", noon, 1, time.Minute)
				ends(err)(t)
			}
		}},
	}

	keys := func(name string, sorted bool, q store.KeyQuery) {
		q.Limit = 100
		all = append(all, operation{name: name, wants: `(FROM|JOIN) latchkey_keys`, sorted: sorted, do: func(t *testing.T) {
			_, err := st.Keys.List(ctx, q)
			ends(err)(t)
		}})
	}
	after := &store.KeyCursor{ID: keyID, Time: start.Add(50_000 * time.Second), Name: "name 8"}
	for name, q := range map[string]store.KeyQuery{
		"by creation": {}, "by name": {Sort: store.ByName}, "by creation of a workspace": {Workspace: "team-7"},
		"by name of a workspace": {Workspace: "team-7", Sort: store.ByName}, "by expiry": {Sort: store.ByExpiry}, "by expiry of a workspace": {Workspace: "team-7", Sort: store.ByExpiry},
	} {
		for _, place := range []*store.KeyCursor{nil, after} {
			for _, descending := range []bool{false, true} {
				q.After, q.Descending = place, descending
				keys(name+map[bool]string{true: ", descending"}[descending]+map[bool]string{true: ", behind a cursor"}[place != nil], true, q)
			}
		}
	}
	for _, creator := range []string{"person-1", "person-7"} { // of 50 keys, and of 50,000
		keys("made by "+creator, false, store.KeyQuery{CreatorID: creator})
		keys("made by "+creator+", behind a cursor", false, store.KeyQuery{CreatorID: creator, After: after})
		keys("made by "+creator+", descending", false, store.KeyQuery{CreatorID: creator, Descending: true})
		keys("made by "+creator+" in a workspace", false, store.KeyQuery{CreatorID: creator, Workspace: "team-1"})
	}
	keys("made by person-1, by name", false, store.KeyQuery{CreatorID: "person-1", Sort: store.ByName})
	keys("with a creator", false, store.KeyQuery{CreatedBy: store.ActorRef{ID: "person-1"}})
	soon := store.KeyQuery{NotAfterFrom: start, NotAfterTo: start.Add(time.Hour)}
	keys("expiring soon", false, soon)
	soon.Workspace, soon.Sort = "team-7", store.ByExpiry
	keys("expiring soon in a workspace", false, soon)
	keys("by last use of a workspace", false, store.KeyQuery{Workspace: "team-1", Sort: store.ByLastUsed})
	for name, q := range map[string]store.EventQuery{
		"events": {}, "events of a workspace": {Workspace: "team-7"}, "events of a key": {Key: "key-7"},
		"events behind a cursor": {After: &store.KeyCursor{Time: time.UnixMicro(40_000), ID: "40000"}},
	} {
		q.Limit = 100
		all = append(all, operation{name: name, wants: `FROM latchkey_events`, sorted: true, do: func(t *testing.T) {
			_, err := st.Events.List(ctx, q)
			ends(err)(t)
		}})
	}
	return all
}

func explain(t *testing.T, db *sql.DB, s statement) string {
	t.Helper()
	text, _, _ := strings.Cut(s.text, "; COMMIT")
	rows, err := db.QueryContext(context.Background(), "EXPLAIN "+text, s.args...)
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	return plan.String()
}
