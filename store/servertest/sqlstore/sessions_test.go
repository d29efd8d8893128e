package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// sessionSetting is a setting that a data source name or a server's default may set on
// every connection.
type sessionSetting struct {
	name    string
	engine  engine
	with    func(t *testing.T, source string) string
	refused string // empty: it is accepted
}

func sessionSettings() []sessionSetting {
	maria := func(name, value, refused string) sessionSetting {
		return sessionSetting{"MariaDB, " + name + "=" + value, engines[1],
			mariaWith(func(c *mysql.Config) { c.Params = map[string]string{name: value} }), refused}
	}
	postgres := func(parameter, refused string) sessionSetting {
		return sessionSetting{"PostgreSQL, " + parameter, engines[0], postgresWith(parameter), refused}
	}
	return []sessionSetting{
		maria("autocommit", "0", "autocommit must be on"),
		maria("completion_type", "'CHAIN'", "completion_type must be NO_CHAIN"),
		maria("completion_type", "'RELEASE'", "completion_type must be NO_CHAIN"),
		maria("tx_isolation", "'READ-UNCOMMITTED'", "the isolation must not be READ UNCOMMITTED"),
		maria("tx_read_only", "1", "the server or the session is read-only"),
		maria("sql_mode", "''", "sql_mode must have STRICT_TRANS_TABLES"),
		maria("sql_mode", "'ORACLE,STRICT_ALL_TABLES'", "sql_mode must not have ORACLE"),
		maria("sql_mode", "'EMPTY_STRING_IS_NULL,STRICT_ALL_TABLES'", "sql_mode must not have EMPTY_STRING_IS_NULL"),
		// The number of keys would be read before it was raised, which would allow one
		// key too many.
		maria("sql_mode", "'SIMULTANEOUS_ASSIGNMENT,STRICT_ALL_TABLES'", "sql_mode must not have SIMULTANEOUS_ASSIGNMENT"),
		maria("sql_select_limit", "10", "sql_select_limit must not be set"),
		// Its bytes can hide a backslash, and so change where an argument ends.
		maria("character_set_client", "gbk", "character_set_client must be utf8mb4"),
		{"MariaDB, without interpolateParams", engines[1], mariaWith(func(c *mysql.Config) { c.InterpolateParams = false }),
			"interpolateParams must be true"},
		maria("sql_mode", "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,HIGH_NOT_PRECEDENCE,STRICT_ALL_TABLES'", ""),
		maria("time_zone", "'-11:00'", ""),
		maria("tx_isolation", "'READ-COMMITTED'", ""),
		maria("tx_isolation", "'SERIALIZABLE'", ""),
		maria("sql_auto_is_null", "1", ""),
		maria("sql_safe_updates", "1", ""),
		maria("character_set_results", "latin1", ""),
		// The arguments of prepared statements would be converted to this.
		maria("character_set_connection", "latin1", ""),
		maria("character_set_client", "utf8mb3", ""),
		maria("collation_connection", "utf16_bin", ""),
		postgres("synchronous_commit=off", "synchronous_commit must not be off"),
		postgres("client_encoding=LATIN1", "client_encoding must be UTF8"),
		postgres("default_transaction_read_only=on", "the server or the session is read-only"),
		postgres("default_transaction_isolation=serializable", ""),
		postgres("default_transaction_deferrable=on", ""),
		postgres("synchronous_commit=local", ""),
		postgres("standard_conforming_strings=off", ""),
		postgres("bytea_output=escape", ""),
		postgres("idle_in_transaction_session_timeout=0", ""),
		postgres("timezone=Asia%2FKolkata", ""),
	}
}

// A setting of the session does not change the meaning of statements, or is refused with
// an error that names it.
func TestSessionSettings(t *testing.T) {
	ctx := context.Background()
	for _, try := range sessionSettings() {
		t.Run(try.name, func(t *testing.T) {
			t.Parallel()
			name, source := try.engine.space(t)
			plain := try.engine.tables(t, dial(t, name, source), sqlstore.Config{}).Store()
			db := dial(t, name, try.with(t, source))
			d, err := sqlstore.New(db, try.engine.dialect, sqlstore.Config{})
			require.NoError(t, err)
			s := d.Store()
			create := func() error { return s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1")) }
			if try.refused != "" {
				for _, err := range []error{d.Migrate(ctx), create()} {
					require.ErrorIs(t, err, store.ErrUnavailable)
					require.ErrorContains(t, err, try.refused)
				}
				_, err = plain.Keys.Lookup(ctx, "key-1")
				require.ErrorIs(t, err, store.ErrNotFound, "nothing was written")
				return
			}
			require.NoError(t, d.Migrate(ctx))
			k := key("team-a", "key-1")
			k.Name, k.NotAfterText = `a\b'c"d ?$1 `+"\t日", ""
			require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, event("event-1")))
			for _, from := range []store.Store{plain, s} {
				found, err := from.Keys.Lookup(ctx, "key-1")
				require.NoError(t, err)
				require.Equal(t, k.Name, found.Key.Name)
				require.Equal(t, k.Credentials, found.Key.Credentials)
				require.Equal(t, k.NotAfter, found.Key.NotAfter)
			}
			found, err := s.Keys.Lookup(ctx, "key-1")
			require.NoError(t, err)
			found.Key.Disabled = true
			require.NoError(t, plain.Keys.Update(ctx, found.Key, store.Change{RevokeTokens: true}))
			found, err = s.Keys.Lookup(ctx, "key-1")
			require.NoError(t, err)
			require.True(t, found.Key.Disabled)
			odd := key("team-ä", "ключ 😀")
			require.NoError(t, s.Keys.Create(ctx, odd, store.NoLimit, store.Change{}))
			for i, from := range []store.Store{plain, s} {
				found, err := from.Keys.Lookup(ctx, odd.ID)
				require.NoError(t, err)
				require.Equal(t, odd.ID, found.Key.ID)
				found, err = from.Secrets.LookupSecret(ctx, odd.Credentials[0].ID)
				require.NoError(t, err)
				require.Equal(t, odd.ID, found.Key.ID)
				token := store.TokenRef{Workspace: odd.Workspace, Key: odd.ID, Credential: odd.Credentials[0].ID, TokenID: fmt.Sprint("token-", i)}
				state, err := from.Epochs.Read(ctx, token)
				require.NoError(t, err)
				require.False(t, state.Revoked)
				require.NoError(t, from.Epochs.Revoke(ctx, token.TokenID, time.Now().Add(time.Hour), time.Now()))
				for _, by := range []store.Store{plain, s} {
					state, err = by.Epochs.Read(ctx, token)
					require.NoError(t, err)
					require.True(t, state.Revoked)
				}
			}
			require.NoError(t, s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, event("event-2")))
			require.NoError(t, s.Settings.DeleteWorkspace(ctx, "team-b", noon, event("event-3")))
			_, err = s.Upkeep.Purge(ctx, noon)
			require.NoError(t, err)
			_, moved, err := s.Limiter.Advance(ctx, "id", noon, time.Hour, time.Hour)
			require.NoError(t, err)
			require.True(t, moved)
			_, moved, err = plain.Limiter.Advance(ctx, "id", noon, time.Hour, time.Hour)
			require.NoError(t, err)
			require.False(t, moved)
			once := store.OnceID{ID: "id", Expires: noon.Add(time.Hour)}
			require.NoError(t, s.OnceIDs.Spend(ctx, once, noon))
			require.ErrorIs(t, plain.OnceIDs.Spend(ctx, once, noon), store.ErrExists)
			page, err := s.Keys.List(ctx, store.KeyQuery{Text: `B'C"D`})
			require.NoError(t, err)
			require.Len(t, page.Keys, 1)
		})
	}
}

// changingSettings opens connections of which later ones have other settings than the first.
type changingSettings struct {
	below     driver.Driver
	source    string
	statement string
	on        atomic.Bool
}

func (u *changingSettings) Driver() driver.Driver { return u.below }

func (u *changingSettings) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := u.below.Open(u.source)
	if err == nil && u.on.Load() {
		_, err = c.(driver.ExecerContext).ExecContext(ctx, u.statement, nil)
	}
	return c, err
}

// Each connection is checked, since after a failover the server may have other settings.
func TestEachConnectionIsChecked(t *testing.T) {
	ctx := context.Background()
	for _, try := range []struct {
		engine             engine
		statement, refused string
		reads              bool // calls that only read are refused, too
	}{
		{engines[0], "SET synchronous_commit = off", "synchronous_commit must not be off", false},
		{engines[1], "SET autocommit = 0", "autocommit must be on", true},
		{engines[1], "SET sql_mode = ''", "sql_mode must have STRICT_TRANS_TABLES", false},
		{engines[2], "PRAGMA synchronous = OFF", "synchronous must be FULL", false},
	} {
		t.Run(try.engine.name+", "+try.statement, func(t *testing.T) {
			name, source := try.engine.space(t)
			plain := dial(t, name, source)
			u := &changingSettings{below: plain.Driver(), source: source, statement: try.statement}
			db := sql.OpenDB(u)
			defer db.Close()
			s := try.engine.tables(t, db, sqlstore.Config{}).Store()
			create := func(id string) error { return s.Keys.Create(ctx, key("team-a", id), store.NoLimit, store.Change{}) }
			require.NoError(t, create("key-1"))
			require.NoError(t, create("key-2"), "a connection is checked only once")
			closeIdle(t, db)
			u.on.Store(true)
			err := create("key-3")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorContains(t, err, try.refused)
			if !try.reads {
				u.on.Store(false)
				require.NoError(t, create("key-4"), "a refused connection is closed")
				return
			}
			for what, call := range map[string]func() error{
				"look-up":  func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
				"secret":   func() error { _, err := s.Secrets.LookupSecret(ctx, "s1-key-1"); return err },
				"list":     func() error { _, err := s.Keys.List(ctx, store.KeyQuery{}); return err },
				"settings": func() error { _, err := s.Settings.Instance(ctx); return err },
				"ring":     func() error { _, err := s.SigningKeys.Ring(ctx); return err },
				"limit":    func() error { _, _, err := s.Limiter.Advance(ctx, "id", noon, 1, time.Hour); return err },
				"spend":    func() error { return s.OnceIDs.Spend(ctx, store.OnceID{ID: "id", Expires: noon}, noon.Add(-time.Hour)) },
				"use": func() error {
					return s.Upkeep.RecordUses(ctx, []store.Use{{Key: "key-1", Credential: "s1-key-1", At: noon}})
				},
				"purge":     func() error { _, err := s.Upkeep.Purge(ctx, noon); return err },
				"the clock": func() error { _, err := s.Upkeep.Clock(ctx); return err },
				"epochs": func() error {
					_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1"})
					return err
				},
				"watch": func() error {
					return s.Watch.Watch(ctx, func() {}, func(store.Notification) { t.Error("a notification") })
				},
			} {
				err := call()
				require.ErrorIs(t, err, store.ErrUnavailable, what)
				require.ErrorContains(t, err, "store: unavailable: the connection's settings: autocommit must be on", what)
				require.NotContains(t, err.Error(), "column", "no text of a query")
			}
			u.on.Store(false)
			closeIdle(t, db)
			require.NoError(t, create("key-4"))
		})
	}
}

// The driver sets idle_transaction_timeout on each connection that writes to MariaDB,
// unless a shorter time is set already.
func TestIdleTransactionTimeout(t *testing.T) {
	for given, want := range map[string]int{"0": 2, "60": 2, "1": 1} {
		_, source := engines[1].space(t)
		db := dial(t, "mysql", mariaWith(func(c *mysql.Config) { c.Params = map[string]string{"idle_transaction_timeout": given} })(t, source))
		db.SetMaxOpenConns(1)
		s := engines[1].tables(t, db, sqlstore.Config{}).Store()
		require.NoError(t, s.Settings.SetInstance(t.Context(), store.InstanceSettings{}, store.Change{}))
		require.Equal(t, want, count(t, db, "SELECT @@idle_transaction_timeout"), given)
	}
}

// A PostgreSQL transaction sets its isolation level itself, since the session's default
// could be stricter. Then a creation would not see a tombstone that was committed while
// it waited.
func TestBeginOfPostgreSQL(t *testing.T) {
	e := engines[0]
	name, source := e.space(t)
	db, p := tapped(t, name, source)
	s := e.tables(t, db, sqlstore.Config{}).Store()
	p.recorded()
	require.NoError(t, s.Keys.Create(context.Background(), key("team-a", "key-1"), store.NoLimit, store.Change{}))
	begin, _ := find(p.recorded(), func(text string) bool { return strings.HasPrefix(text, "BEGIN") })
	require.Equal(t, "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000", begin.text)
}
