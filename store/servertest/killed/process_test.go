package killed_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the file outlives the process

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// processEnv is the environment variable that makes this binary the other process. Its
// value is the kind of work and its arguments, separated by bars.
const processEnv = "LATCHKEY_TEST_PROCESS"

func TestMain(m *testing.M) {
	work := strings.Split(os.Getenv(processEnv), "|")
	var err error
	switch {
	case work[0] == "admin" && len(work) == 2:
		err = serveAdmin(work[1])
	case work[0] == "remind" && len(work) == 4:
		err = remind(work[1], work[2], work[3])
	default:
		m.Run()
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the other process's main ends here
	}
}

// waitToBeKilled returns only once the process that started this one has ended.
func waitToBeKilled() { _, _ = io.Copy(io.Discard, os.Stdin) }

// process is this binary, started as another process.
type process struct {
	t       *testing.T
	command *exec.Cmd
	out     *bufio.Reader
}

func start(t *testing.T, work ...string) *process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(), processEnv+"="+strings.Join(work, "|"))
	command.Stderr = os.Stderr
	_, err = command.StdinPipe() // it ends with this process
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &process{t, command, bufio.NewReader(out)}
	t.Cleanup(p.kill)
	return p
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSpace(line)
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

var (
	noon  = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	owner = apikey.Owner("olga", "team-a", "team-b")
)

// config returns the configuration of every process.
func config(now time.Time) apikey.Config {
	return apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}}),
		Now:         func() time.Time { return now },
		Logger:      slog.New(slog.DiscardHandler),
		Options:     apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: bytes.Repeat([]byte("pepper "), 5)}}},
	}
}

func service(t *testing.T, st store.Store, now time.Time) *apikey.Service {
	t.Helper()
	keys, err := apikey.New(st, config(now))
	require.NoError(t, err)
	return keys
}

func open(file string) (store.Store, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)")
	if err != nil {
		return store.Store{}, err
	}
	database, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return store.Store{}, err
	}
	return database.Store(), database.Migrate(context.Background())
}

func openFile(t *testing.T, file string) store.Store {
	t.Helper()
	st, err := open(file)
	require.NoError(t, err)
	return st
}
