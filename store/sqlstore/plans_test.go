package sqlstore_test

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// With 100,000 keys, half of them in one workspace, PostgreSQL finds each row by an index:
// it reads no large table from end to end, and sorts nothing for a page.
func TestPlans(t *testing.T) {
	e := engines[0]
	db := e.connect(t)
	d := e.tables(t, db, sqlstore.Config{})
	ctx := context.Background()
	for _, fill := range []string{
		`INSERT INTO latchkey_workspaces (id, held) SELECT ('team-' || n)::bytea, 100 FROM generate_series(0, 999) n`,
		`INSERT INTO latchkey_keys SELECT ('key-' || md5(n::text))::bytea, ('team-' || CASE WHEN n % 2 = 0 THEN 7 ELSE n % 1000 END)::bytea, ('name ' || md5((-n)::text))::bytea, NULL, NULL,
			' project.list project.read ', ' project.* ', '[{"id":"s1","hint":"Ab1x","digest":"hmac-sha256$1$c2VjcmV0"}]', '[]',
			CASE WHEN n % 3 = 0 THEN 9223372036854775807 ELSE 1772366400000000 + n::bigint * 60000000 END, '', 0, 'owner', 'person-1',
			1772366400000000 + n * 1000000::bigint, 1772366400000000, -62135596800000000, 1, 1 FROM generate_series(1, 100000) n`,
		`INSERT INTO latchkey_tombstones SELECT ('gone-' || n)::bytea, n, 1 FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_revoked SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_once SELECT sha256(n::text::bytea), '', n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_limits SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_marks SELECT n::text::bytea, 'x', 1, '[]' FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_days SELECT ('team-' || n % 1000)::bytea, n::text::bytea, n % 365, 1, 1 FROM generate_series(1, 20000) n`,
		`INSERT INTO latchkey_notices SELECT n, 1, '', '', '' FROM generate_series(980001, 1000000) n`,
		`INSERT INTO latchkey_events SELECT n::text::bytea, n, '', '', 'key.create', ('team-' || CASE WHEN n % 2 = 0 THEN 7 ELSE n % 1000 END)::bytea, ('key-' || n)::bytea, '[]', '' FROM generate_series(1, 50000) n`,
		`ANALYZE`,
	} {
		_, err := db.ExecContext(ctx, fill)
		require.NoError(t, err)
	}

	keyID := "key-" + "c4ca4238a0b923820dcc509a6f75849b" // of n = 1
	_, err := d.Store().Keys.Lookup(ctx, keyID)
	require.NoError(t, err)
	start := time.UnixMicro(1772366400000000)
	soon := store.KeyQuery{NotAfterFrom: start, NotAfterTo: start.Add(time.Hour)}
	soonHere := soon
	soonHere.Workspace, soonHere.Sort = "team-7", store.ByExpiry
	after := &store.KeyCursor{ID: keyID, Time: start.Add(50_000 * time.Second), Name: "name 8"}
	statements := sqlstore.FixedStatements(d, "team-1", keyID)
	sorted := make(map[string]bool)
	for name, q := range map[string]store.KeyQuery{
		"by creation": {}, "by name": {Sort: store.ByName}, "by creation of a workspace": {Workspace: "team-7"},
		"by name of a workspace": {Workspace: "team-7", Sort: store.ByName}, "by expiry of a workspace": {Workspace: "team-7", Sort: store.ByExpiry},
	} {
		for _, place := range []*store.KeyCursor{nil, after} {
			for _, descending := range []bool{false, true} {
				q.After, q.Descending = place, descending
				title := name + map[bool]string{true: ", descending"}[descending] + map[bool]string{true: ", behind a cursor"}[place != nil]
				statements[title] = sqlstore.ListStatement(d, q)
				sorted[title] = true
			}
		}
	}
	statements["expiring soon"] = sqlstore.ListStatement(d, soon)
	statements["expiring soon in a workspace"] = sqlstore.ListStatement(d, soonHere)
	statements["by last use of a workspace"] = sqlstore.ListStatement(d, store.KeyQuery{Workspace: "team-1", Sort: store.ByLastUsed})
	for name, q := range map[string]store.EventQuery{
		"events": {}, "events of a workspace": {Workspace: "team-7"}, "events of a key": {Key: "key-7"},
		"events behind a cursor": {After: &store.EventCursor{Time: time.UnixMicro(40_000), ID: "40000"}},
	} {
		statements[name] = sqlstore.EventStatement(d, q)
		sorted[name] = true
	}

	// Tables of one row have no need of an index.
	scan := regexp.MustCompile(`Seq Scan on latchkey_(keys|workspaces|tombstones|marks|revoked|events|once|days|limits|notices)`)
	for name, s := range statements {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, db, s)
			require.NotRegexp(t, scan, plan)
			if sorted[name] {
				require.NotContains(t, plan, "Sort")
			}
		})
	}
}

func explain(t *testing.T, db *sql.DB, s sqlstore.Statement) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), "EXPLAIN "+s.Text, s.Args...)
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
