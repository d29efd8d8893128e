package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func superuser(p *servers.Process) string { return "postgres://postgres@" + p.Addr() + "/test" }

func execute(t *testing.T, driver, source string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	defer db.Close()
	for _, s := range statements {
		_, err = db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// database is a server on which the handbook's users are made.
type database struct {
	driver, root string
	dialect      sqlstore.Dialect
	lines        []string // of the handbook
	source       func(name, user, password string) string
	synced       string // of another node of the cluster, on which source logs in; empty without a cluster
}

var databases = map[string]func(t *testing.T) database{
	"PostgreSQL": func(t *testing.T) database {
		t.Helper()
		p, err := servers.StartPostgres(t.Context(), t.TempDir())
		has(t, "PostgreSQL", err)
		t.Cleanup(p.Stop)
		return database{"pgx", superuser(p), sqlstore.PostgreSQL, sqlOf(t, "PostgreSQL, as a superuser"), func(_, user, password string) string {
			return "postgres://" + user + ":" + password + "@" + p.Addr() + "/test"
		}, ""}
	},
	"MariaDB": func(t *testing.T) database {
		t.Helper()
		p, err := servers.StartMariaDB(t.Context(), t.TempDir())
		has(t, "MariaDB", err)
		t.Cleanup(p.Stop)
		source := func(name, user, password string) string {
			return (&mysql.Config{User: user, Passwd: password, Net: "tcp", Addr: p.Addr(), DBName: name, AllowNativePasswords: true, InterpolateParams: true}).FormatDSN()
		}
		return database{"mysql", source("test", "root", ""), sqlstore.MySQL, sqlOf(t, "MariaDB (and MySQL)"), source, ""}
	},
}

// open runs the handbook's lines with another name in place of "latchkey", migrates as
// one user and returns the store of the other.
func (d database) open(t *testing.T, name string, lines []string) (store.Store, error) {
	t.Helper()
	for _, line := range lines {
		execute(t, d.driver, d.root, strings.ReplaceAll(line, "latchkey", name))
	}
	if d.synced != "" { // that node may not have applied the grants yet
		execute(t, d.driver, d.synced, "SET STATEMENT wsrep_sync_wait = 15 FOR SELECT COUNT(*) FROM mysql.global_priv")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	as := func(user, password string) *sqlstore.Database {
		db, err := sql.Open(d.driver, d.source(name, name+user, password))
		require.NoError(t, err)
		db.SetMaxOpenConns(12)
		db.SetMaxIdleConns(2)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		database, err := sqlstore.New(db, d.dialect, sqlstore.Config{})
		require.NoError(t, err)
		return database
	}
	err := as("_migrate", "change-me-1").Migrate(ctx)
	return as("_run", "change-me-2").Store(), err
}

// The rights in the handbook are sufficient, and each of them is necessary.
func TestRights(t *testing.T) {
	for name, start := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			if os.Getenv("LATCHKEY_SOAK") == "1" { // hundreds of users and schemas
				n := 0
				storetest.Run(t, func(t *testing.T) store.Store {
					n++
					s, err := d.open(t, fmt.Sprint("store", n), d.lines)
					require.NoError(t, err)
					return s
				})
			}
			st, err := d.open(t, "latchkey", d.lines)
			require.NoError(t, err)
			require.NoError(t, useAll(st))
			for i, less := range withoutEach(d.lines) {
				t.Run("without "+less.what, func(t *testing.T) {
					st, err := d.open(t, fmt.Sprint("less", i), less.lines)
					if err == nil {
						err = useAll(st)
					}
					require.ErrorIs(t, err, store.ErrUnavailable, "it is necessary")
					if less.right {
						require.ErrorContains(t, err, "the user lacks a privilege")
					}
				})
			}
		})
	}
}

// On Galera the user that migrates needs UPDATE, too, as the handbook says.
func TestRightsOnGalera(t *testing.T) {
	t.Parallel()
	nodes, err := servers.GaleraNodes(t.Context())
	has(t, "Galera cluster", err)
	lines := sqlOf(t, "MariaDB (and MySQL)")
	require.Contains(t, handbook(t), "On Galera the user that migrates also needs `UPDATE`.")
	d := database{"mysql", nodes[0], sqlstore.MySQL, lines, func(name, user, password string) string {
		cfg, err := mysql.ParseDSN(nodes[1])
		require.NoError(t, err)
		cfg.User, cfg.Passwd, cfg.DBName = user, password, name
		return cfg.FormatDSN()
	}, nodes[1]}
	for _, name := range []string{"less", "latchkey"} { // of an earlier run, since the cluster outlives the test
		execute(t, "mysql", nodes[0], "DROP DATABASE IF EXISTS "+name,
			fmt.Sprintf("DROP USER IF EXISTS %[1]s_migrate@'%%', %[1]s_run@'%%'", name))
	}
	_, err = d.open(t, "less", lines)
	require.ErrorContains(t, err, "the user lacks a privilege")
	st, err := d.open(t, "latchkey", append(slices.Clone(lines), "GRANT UPDATE ON latchkey.* TO latchkey_migrate@'%'"))
	require.NoError(t, err)
	require.NoError(t, useAll(st))
}

// The handbook's provider options for Galera are those with which the tests of package
// galera measure how long a lost node stops the others.
func TestGaleraOptions(t *testing.T) {
	_, rest, found := strings.Cut(handbook(t), "wsrep_provider_options = \"")
	require.True(t, found)
	options, _, _ := strings.Cut(rest, "\"")
	code, err := os.ReadFile("../servers/galera.go")
	require.NoError(t, err)
	for option := range strings.SplitSeq(options, ";") {
		require.Contains(t, string(code), `"`+option+`"`)
	}
}

type lesser struct {
	what  string
	right bool // the error must name a right; without USAGE PostgreSQL does not find the tables
	lines []string
}

// withoutEach returns the lines without each right, and without each line that other
// lines do not need.
func withoutEach(lines []string) (all []lesser) {
	rights := regexp.MustCompile(`GRANT (.+?) ON `)
	for i, line := range lines {
		granted := rights.FindStringSubmatch(line)
		if granted == nil {
			if strings.HasPrefix(line, "ALTER ROLE") || strings.Contains(line, "AUTHORIZATION") {
				all = append(all, lesser{line, false, replaced(lines, i, regexp.MustCompile(`^ALTER ROLE.+| AUTHORIZATION \w+`).ReplaceAllString(line, ""))})
			}
			continue
		}
		each := strings.Split(granted[1], ", ")
		for j, right := range each {
			rest := strings.Join(slices.Delete(slices.Clone(each), j, j+1), ", ")
			less := ""
			if rest != "" {
				less = strings.Replace(line, granted[1], rest, 1)
			}
			all = append(all, lesser{fmt.Sprint(right, " in line ", i+1), right != "USAGE", replaced(lines, i, less)})
		}
	}
	return all
}

func replaced(lines []string, i int, by string) []string {
	all := slices.Clone(lines)
	all[i] = by
	return slices.DeleteFunc(all, func(line string) bool { return line == "" })
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// useAll calls every method of a store, and returns their errors but those about
// missing records.
func useAll(s store.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	only := func(_ any, err error) error { return err }
	key := func(id string) store.Key {
		return store.Key{
			ID: id, Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
			Credentials: []store.Credential{{ID: "s1-" + id, Digest: "old", Created: noon}}, Created: noon, Updated: noon, Version: 1,
		}
	}
	later, count := noon.Add(24*time.Hour), store.Count{Workspace: "team-a", Key: "one", Day: noon, Logins: 1}
	change := store.Change{
		Now: noon, RevokeTokens: true, Once: &store.OnceID{Space: "test", ID: "1", Expires: later}, Preconditions: []store.Precondition{{Key: "one", Version: 1}},
		Events: []store.Event{{ID: "event", Time: noon, Action: "key.create", Workspace: "team-a"}},
	}
	renamed := key("one")
	renamed.Name = "renamed"
	errs := []error{
		s.Keys.Create(ctx, key("one"), 10, store.Change{Now: noon}),
		s.Keys.Create(ctx, key("two"), store.NoLimit, change),
		only(s.Keys.Lookup(ctx, "one")),
		only(s.Secrets.LookupSecret(ctx, "s1-one")),
		only(s.Keys.List(ctx, store.KeyQuery{})),
		s.Upkeep.RecordUses(ctx, []store.Use{{Key: "one", Credential: "s1-one", At: noon}}),
		s.Upkeep.Rehash(ctx, "one", "s1-one", "old", "new"),
		only(s.Upkeep.Clock(ctx)),
		s.Keys.Update(ctx, renamed, store.Change{Now: noon}),
		s.Keys.Delete(ctx, "team-a", "two", 0, noon, store.Change{Now: noon}),
		only(s.Upkeep.Purge(ctx, later)),
		only(s.Settings.Instance(ctx)),
		s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Updated: noon}}, store.Change{Now: noon}),
		only(s.Settings.Workspace(ctx, "team-b")),
		s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-b", Updated: noon}, store.Change{Now: noon}),
		s.Settings.DeleteWorkspace(ctx, "team-b", noon, store.Change{Now: noon}),
		s.Events.Append(ctx, store.Event{ID: "other", Time: noon, Action: "made", Workspace: "team-a"}),
		only(s.Events.List(ctx, store.EventQuery{})),
		only(s.Events.Prune(ctx, later)),
		only(s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "one", Credential: "s1-one"})),
		s.Epochs.Revoke(ctx, "token", later, noon),
		s.OnceIDs.Spend(ctx, store.OnceID{Space: "test", ID: "2", Expires: later}, noon),
		only(s.OnceIDs.Find(ctx, "test", "2", noon)),
		s.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: "1", Fingerprint: "f"}),
		only(s.HostLists.Entries(ctx)),
		s.HostLists.Forget(ctx, store.Peppers, "1"),
		only(s.SigningKeys.Ring(ctx)),
		s.SigningKeys.SetRing(ctx, store.Ring{}),
		s.Usage.Add(ctx, []store.Count{count}),
		only(s.Usage.ByDay(ctx, "team-a", "one", noon.AddDate(0, 0, -1), later)),
		only(s.Usage.Prune(ctx, later)),
	}
	_, _, err := s.Limiter.Advance(ctx, "id", noon, time.Second, time.Minute)
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	watched := s.Watch.Watch(ctx, cancel, func(store.Notification) {})
	if errors.Is(watched, context.Canceled) {
		watched = nil
	}
	errs = append(errs, err, watched)
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict)
	})...)
}
