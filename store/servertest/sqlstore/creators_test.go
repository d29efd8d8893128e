package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// series is a table s with a column n that has the numbers from 1 to 50,000.
var series = map[sqlstore.Dialect]string{
	sqlstore.MySQL:  `(SELECT seq AS n FROM seq_1_to_50000) s`,
	sqlstore.SQLite: `(WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 50000) SELECT n FROM r) s`,
}

// MariaDB and SQLite also find the keys of a creator by the index of the creators table,
// whether it is one key of 50,000 or half of them. TestPlans checks PostgreSQL.
func TestPlansForKeysOfACreator(t *testing.T) {
	ctx := context.Background()
	for _, e := range engines[1:] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			if e.dialect == sqlstore.MySQL { // so that the tap records arguments
				source = mariaWith(func(c *mysql.Config) { c.InterpolateParams = true })(t, source)
			}
			db, p := tapped(t, driver, source)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			bytes := func(number string) string {
				if e.dialect == sqlstore.SQLite {
					return "CAST('p' || (" + number + ") AS BLOB)"
				}
				return "CONCAT('p', " + number + ")"
			}
			run(t, db, `INSERT INTO latchkey_keys (id, workspace, name, permissions, requested, admin, credentials, resources, not_after, not_after_text, disabled, direct,
				creator_kind, creator_id, depth, created, updated, last_used, version, epoch)
				SELECT `+bytes("n")+`, `+bytes("n % 100")+`, `+bytes("n")+`, '', '', '', '[]', '[]', 0, '', 0, 0, 'owner', `+bytes("n * (n % 2)")+`, 0, n, n, 0, 1, 1 FROM `+series[e.dialect])
			run(t, db, "INSERT INTO latchkey_creators (creator, created, key_id) SELECT creator_id, created, id FROM latchkey_keys")
			run(t, db, "INSERT INTO latchkey_workspaces (id, held) SELECT "+bytes("n")+", 500 FROM "+series[e.dialect])
			run(t, db, map[sqlstore.Dialect]string{sqlstore.MySQL: "ANALYZE TABLE latchkey_keys, latchkey_creators, latchkey_workspaces", sqlstore.SQLite: "ANALYZE"}[e.dialect])
			for _, q := range []store.KeyQuery{
				{CreatorID: "p7"}, {CreatorID: "p0"}, {CreatorID: "p0", Descending: true}, {CreatorID: "p0", After: &store.KeyCursor{ID: "p4"}}, {CreatorID: "p7", Sort: store.ByName},
			} {
				p.recorded()
				page, err := s.Keys.List(ctx, q)
				require.NoError(t, err)
				require.NotEmpty(t, page.Keys)
				list, found := find(p.recorded(), func(text string) bool { return strings.Contains(text, "latchkey_creators c") })
				require.True(t, found)
				plan := planOf(t, db, e, list)
				// The instance's settings are a table of one row, so it may be scanned.
				require.NotContains(t, strings.ReplaceAll(plan, "SCAN i ", ""), "SCAN", plan)
				require.NotContains(t, plan, "ALL", plan)
				if q.Sort == "" {
					require.NotContains(t, strings.ToLower(plan), "temp", plan)
					require.NotContains(t, plan, "filesort", plan)
				}
			}
			// A page is read in the order of an index, whatever is joined.
			for _, q := range []store.KeyQuery{
				{}, {Descending: true}, {Sort: store.ByName}, {Workspace: "p7"}, {Workspace: "p7", Sort: store.ByName, Descending: true},
			} {
				p.recorded()
				page, err := s.Keys.List(ctx, q)
				require.NoError(t, err)
				require.NotEmpty(t, page.Keys)
				list, found := find(p.recorded(), func(text string) bool { return strings.Contains(text, "latchkey_keys k") })
				require.True(t, found)
				plan := planOf(t, db, e, list)
				require.NotContains(t, plan, "SCAN w", plan)
				require.NotContains(t, strings.ToLower(plan), "temp", plan)
				require.NotContains(t, plan, "filesort", plan)
			}
		})
	}
}

func planOf(t *testing.T, db *sql.DB, e engine, s statement) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), map[bool]string{true: "EXPLAIN QUERY PLAN "}[e.dialect == sqlstore.SQLite]+
		map[bool]string{true: "EXPLAIN "}[e.dialect == sqlstore.MySQL]+s.text, s.args...)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var plan strings.Builder
	for rows.Next() {
		values, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		require.NoError(t, rows.Scan(to...))
		for _, v := range values {
			fmt.Fprint(&plan, v.String, " ")
		}
		fmt.Fprintln(&plan)
	}
	require.NoError(t, rows.Err())
	return plan.String()
}
