package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// openStore opens the store of -store; end closes it. Its errors do not contain the URL,
// which may hold a password.
func openStore(ctx context.Context, name string) (st store.Store, end func() error, err error) {
	// Without this the clients of Redis and MySQL print their errors to standard error, with
	// addresses. The same errors are returned and printed once.
	logging.Disable()
	_ = mysql.SetLogger(&mysql.NopLogger{}) //nolint:errcheck // fails only for nil
	kind, rest, _ := strings.Cut(name, ":")
	switch u, noURL := url.Parse(name); {
	case kind == "memory":
		return memstore.New(), func() error { return nil }, nil
	case kind == "sqlite": // acknowledged writes survive a power failure
		return openSQL(ctx, "sqlite", sqlstore.SQLite, "file:"+rest+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)")
	case kind == "postgres" && noURL == nil:
		return openSQL(ctx, "pgx", sqlstore.PostgreSQL, name)
	case kind == "mysql" && noURL == nil:
		password, _ := u.User.Password()
		return openSQL(ctx, "mysql", sqlstore.MySQL, u.User.Username()+":"+password+"@tcp("+u.Host+")"+u.Path+"?interpolateParams=true&"+u.RawQuery)
	case kind == "redis", kind == "rediss":
		options, err := redis.ParseURL(name)
		if err != nil {
			break
		}
		options.ContextTimeoutEnabled = true // so that a login's deadline applies while the server hangs
		options.DialerRetries = 1            // fail at once if the server is down
		client := redis.NewClient(options)
		driver, err := redisstore.New(client, redisstore.Config{})
		if err != nil {
			return st, nil, errors.Join(err, client.Close())
		}
		return driver.Store(), client.Close, nil
	}
	return st, nil, errors.New("-store: it must be memory, sqlite:PATH, postgres://..., mysql://... or redis://...")
}

func openSQL(ctx context.Context, driver string, dialect sqlstore.Dialect, source string) (st store.Store, end func() error, err error) {
	db, err := sql.Open(driver, source)
	if err != nil {
		return st, nil, errors.New("-store: the URL of the database is malformed: use postgres://user:password@host/database or mysql://...")
	}
	db.SetMaxOpenConns(16)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	database, err := sqlstore.New(db, dialect, sqlstore.Config{})
	if err == nil {
		err = database.Migrate(ctx)
	}
	if err != nil {
		return st, nil, fmt.Errorf("-store: %w", errors.Join(err, db.Close()))
	}
	return database.Store(), db.Close, nil
}
