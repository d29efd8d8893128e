package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// openStore opens what -store names; end closes it. Its errors show no URL: a
// password may be in it.
func openStore(ctx context.Context, name string) (st store.Store, end func() error, err error) {
	kind, rest, _ := strings.Cut(name, ":")
	switch u, noURL := url.Parse(name); {
	case kind == "memory":
		return memstore.New(), func() error { return nil }, nil
	case kind == "sqlite": // what was acknowledged survives a loss of power
		return openSQL(ctx, "sqlite", sqlstore.SQLite, "file:"+rest+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
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
		options.ContextTimeoutEnabled = true // a login's deadline holds while a server hangs
		options.DialerRetries = 1            // a server that is down is an error at once
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
		return st, nil, errors.New("-store: the address of the database cannot be read")
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
