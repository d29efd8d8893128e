package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// openStore opens what -store names; end closes it. Its errors show no URL: a
// password may be in it.
func openStore(ctx context.Context, name string) (st store.Store, end func() error, err error) {
	kind, rest, _ := strings.Cut(name, ":")
	address, err := url.Parse(name)
	if err != nil {
		return st, nil, errors.New("-store: it is not a URL")
	}
	var db *sql.DB
	var dialect sqlstore.Dialect
	switch kind {
	case "memory":
		return memstore.New(), func() error { return nil }, nil
	case "redis", "rediss":
		options, err := redis.ParseURL(name)
		if err != nil {
			return st, nil, errors.New("-store: it must be like redis://host:6379")
		}
		options.ContextTimeoutEnabled = true // a login's deadline holds while a server hangs
		client := redis.NewClient(options)
		driver, err := redisstore.New(client, redisstore.Config{})
		if err != nil {
			return st, nil, errors.Join(err, client.Close())
		}
		return driver.Store(), client.Close, nil
	case "sqlite": // what was acknowledged survives a loss of power
		dialect = sqlstore.SQLite
		db, err = sql.Open("sqlite", "file:"+rest+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	case "postgres":
		dialect = sqlstore.PostgreSQL
		db, err = sql.Open("pgx", name)
	case "mysql":
		dialect = sqlstore.MySQL
		password, _ := address.User.Password()
		db, err = sql.Open("mysql", address.User.Username()+":"+password+"@tcp("+address.Host+")"+address.Path+"?"+address.RawQuery)
	default:
		return st, nil, errors.New("-store: it must be memory, sqlite:PATH, postgres://..., mysql://... or redis://...")
	}
	if err != nil {
		return st, nil, fmt.Errorf("-store: %s does not open", kind)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	database, err := sqlstore.New(db, dialect, sqlstore.Config{})
	if err == nil {
		err = database.Migrate(ctx)
	}
	if err != nil {
		return st, nil, errors.Join(err, db.Close())
	}
	return database.Store(), db.Close, nil
}

// loadSecrets reads what must not lie in the store, so that a copy of the
// store alone proves no secret and signs no token: 32 bytes of pepper, 32 that
// seal the signing keys. A missing file is made; all replicas on one store
// need the same one, and without it the keys in the store are lost.
func loadSecrets(file string, cfg *oauth.Config) error {
	var fresh [64]byte
	if _, err := rand.Read(fresh[:]); err != nil {
		return err
	}
	// Unlike a rename, a link leaves the file that is there.
	if err := writePrivate(file, fresh[:], os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	text, err := os.ReadFile(file) //nolint:gosec // named by who runs the program
	if err != nil {
		return err
	}
	if len(text) != len(fresh) {
		return fmt.Errorf("-secrets: %s does not hold %d bytes", file, len(fresh))
	}
	cfg.Keys.Peppers = []apikey.Pepper{{Version: 1, Key: text[:32]}}
	cfg.SealKeys = []oauth.SealKey{{Version: 1, Key: text[32:]}}
	return nil
}
