// Package servers starts servers for tests: PostgreSQL, with or without PgBouncer,
// MariaDB, also as a Galera cluster, and Redis.
//
// [Postgres], [MariaDB] and [Redis] return one server for a whole test binary: the one
// that runs on this machine, or else a temporary one started from the installed programs.
// [GaleraNodes] returns a temporary cluster. [StartRedis] and the other Start functions
// start a server for one test, which may pause, kill and restart it. [NewProxy] returns
// a proxy between a client and a server that can break connections. All of them listen on
// loopback, on ports chosen by the system, and end with the test binary.
//
// A test package that uses the shared servers must stop the temporary ones:
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

// ErrNone reports that no server answers and none is installed. Tests then skip, or
// fail if [Required].
var ErrNone = errors.New("no server answers on this machine and none is installed")

// Required reports whether a missing server is a failure and not a skip:
// LATCHKEY_REQUIRE_SERVERS=1, which CI sets.
func Required() bool { return os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" }

// Postgres returns the URL of a PostgreSQL server whose database test may be written
// to: $LATCHKEY_TEST_POSTGRES, else the server on port 5432 if it accepts the user
// postgres without a password, else a temporary one.
func Postgres(ctx context.Context) (string, error) { return sharedPostgres.get(ctx) }

// MariaDB returns the data source name, in the form of go-sql-driver/mysql, of a MariaDB
// server whose database test may be written to: $LATCHKEY_TEST_MARIADB, else the server
// on port 3306, else a temporary one. It sets interpolateParams, which package sqlstore
// requires.
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

// Redis returns the address of a Redis server that may be written to:
// $LATCHKEY_TEST_REDIS, else the server on port 6379, else a temporary one.
func Redis(ctx context.Context) (string, error) { return sharedRedis.get(ctx) }

// GaleraNodes returns the data source names of the three nodes of a Galera cluster. The
// cluster is started once for the test binary, which takes about 10 s. A test that stops
// or breaks a node must start its own cluster.
func GaleraNodes(ctx context.Context) ([]string, error) { return sharedGalera.get(ctx) }

// Missing returns the Debian packages that StartGalera and StartPgBouncer need and that
// are not installed.
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

// Close stops the temporary servers and removes their data.
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

// shared is a server that all tests of a binary share.
type shared struct {
	env   string // the variable that names a server, which takes precedence
	addr  string // the address of a running server, if there is one
	ping  func(ctx context.Context, addr string) error
	start func(ctx context.Context, dir string) (*Process, error)
	name  func(addr string) string

	mu        sync.Mutex
	found     string // the name that was returned
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
		err = fmt.Errorf("%w (%s: %w); set %s to use another server", err, s.addr, running, s.env)
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
		_ = os.RemoveAll(s.dir) // the directory is in the system's temporary directory
		s.throwAway, s.found = nil, ""
	}
}

// sharedGalera is the cluster that all tests of a binary share.
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
		s.g.kill() // its data is not needed any more
		_ = os.RemoveAll(s.dir)
		s.g = nil
	}
}
