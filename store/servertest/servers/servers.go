// Package servers gives tests the servers that drivers talk to: PostgreSQL,
// with or without PgBouncer, MariaDB, also as a Galera cluster, and Redis.
//
// [Postgres], [MariaDB] and [Redis] return one server for a whole test binary:
// the one that runs on this machine, or else a throw-away one started from the
// installed programs. [GaleraNodes] returns a throw-away cluster. [StartRedis] and the other Start functions start a server
// for one test, which may pause, kill and restart it. [NewProxy] stands between a
// client and a server and breaks connections. Whatever is started listens on
// loopback, on ports that the system chose, and ends with the test binary.
//
// A test package that uses the shared servers ends the throw-away ones:
//
//	func TestMain(m *testing.M) {
//		defer servers.Close()
//		m.Run()
//	}
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrNone says that no server answers and none is installed. Tests then skip,
// or fail if [Required].
var ErrNone = errors.New("no server answers on this machine and none is installed")

// Required reports whether a missing server is a failure and not a skip:
// LATCHKEY_REQUIRE_SERVERS=1, as CI sets it.
func Required() bool { return os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" }

// Postgres returns the URL of a PostgreSQL whose database test may be written
// to: $LATCHKEY_TEST_POSTGRES, else the server on port 5432 if it lets the
// user postgres in without a password, else a throw-away one.
func Postgres(ctx context.Context) (string, error) { return sharedPostgres.get(ctx) }

// MariaDB returns the data source name, in the form of go-sql-driver/mysql, of
// a MariaDB whose database test may be written to: $LATCHKEY_TEST_MARIADB,
// else the server on port 3306, else a throw-away one. It has interpolateParams, which
// package sqlstore asks for.
func MariaDB(ctx context.Context) (string, error) {
	name, err := sharedMariaDB.get(ctx)
	switch {
	case err != nil || strings.Contains(name, "interpolateParams="):
		return name, err
	case strings.Contains(name, "?"):
		return name + "&interpolateParams=true", nil
	}
	return name + "?interpolateParams=true", nil
}

// Redis returns the address of a Redis that may be written to:
// $LATCHKEY_TEST_REDIS, else the server on port 6379, else a throw-away one.
func Redis(ctx context.Context) (string, error) { return sharedRedis.get(ctx) }

// GaleraNodes returns the data source names of the three nodes of a Galera
// cluster that is started once for the test binary, which takes some 10 s. A
// test that harms a node starts a cluster of its own.
func GaleraNodes(ctx context.Context) ([]string, error) { return sharedGalera.get(ctx) }

// Missing names the Debian packages that StartGalera and StartPgBouncer need
// and do not find.
func Missing() []string {
	var missing []string
	if _, err := findGalera(); err != nil {
		missing = append(missing, "galera-4")
	}
	if _, err := find("pgbouncer"); err != nil {
		missing = append(missing, "pgbouncer")
	}
	return missing
}

// Close stops the throw-away servers and removes their data.
func Close() {
	for _, s := range []*shared{&sharedPostgres, &sharedMariaDB, &sharedRedis} {
		s.close()
	}
	sharedGalera.close()
}

var (
	sharedPostgres = shared{
		env: "LATCHKEY_TEST_POSTGRES", addr: "127.0.0.1:5432", ping: pingPostgres, start: StartPostgres,
		name: func(addr string) string { return "postgres://postgres@" + addr + "/test?sslmode=disable" },
	}
	sharedMariaDB = shared{
		env: "LATCHKEY_TEST_MARIADB", addr: "127.0.0.1:3306", ping: pingMariaDB, start: StartMariaDB,
		name: func(addr string) string { return "root@tcp(" + addr + ")/test?interpolateParams=true" },
	}
	sharedRedis = shared{
		env: "LATCHKEY_TEST_REDIS", addr: "127.0.0.1:6379", ping: pingRedis,
		start: func(ctx context.Context, dir string) (*Process, error) { return StartRedis(ctx, dir) },
		name:  func(addr string) string { return addr },
	}
)

// shared is a server that all tests of a binary use.
type shared struct {
	env   string // names it and wins
	addr  string // where a running one would be
	ping  func(ctx context.Context, addr string) error
	start func(ctx context.Context, dir string) (*Process, error)
	name  func(addr string) string

	mu        sync.Mutex
	found     string // the name that was given out
	throwAway *Process
	dir       string
}

func (s *shared) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found != "" {
		return s.found, nil
	}
	if given := os.Getenv(s.env); given != "" {
		s.found = given
		return s.found, nil
	}
	probe, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	running := s.ping(probe, s.addr)
	if running == nil {
		s.found = s.name(s.addr)
		return s.found, nil
	}
	dir, err := os.MkdirTemp("", "latchkey-test-")
	if err != nil {
		return "", err
	}
	p, err := s.start(ctx, dir)
	if err != nil {
		err = fmt.Errorf("%w (%s: %w; %s can name another)", err, s.addr, running, s.env)
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	s.throwAway, s.dir, s.found = p, dir, s.name(p.Addr())
	return s.found, nil
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.throwAway != nil {
		s.throwAway.Stop()
		_ = os.RemoveAll(s.dir) // it lies with the temporary files
		s.throwAway, s.found = nil, ""
	}
}

// sharedGalera is the cluster that all tests of a binary use.
var sharedGalera sharedCluster

type sharedCluster struct {
	mu  sync.Mutex
	g   *Galera
	dir string
}

func (s *sharedCluster) get(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.g == nil {
		dir, err := os.MkdirTemp("", "latchkey-test-")
		if err != nil {
			return nil, err
		}
		g, err := StartGalera(ctx, dir, 3)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		s.g, s.dir = g, dir
	}
	var names []string
	for i := range s.g.Nodes {
		names = append(names, s.g.DSN(i))
	}
	return names, nil
}

func (s *sharedCluster) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.g != nil {
		s.g.kill() // nobody needs its data
		_ = os.RemoveAll(s.dir)
		s.g = nil
	}
}
