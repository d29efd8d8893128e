package admin_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the file outlives the process

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// fileEnv names the database to a process that serves it.
const fileEnv = "LATCHKEY_ADMIN_TEST_FILE"

// TestKilled kills a process between a request and its answer, once before and
// once after the change was written, and lets another process answer the
// retry: in the end the change was made once.
func TestKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.db")
	first := serve(t, file)
	m := first.create("olga", "team-a", "ci")
	rotate := "/keys/" + m.Key.ID + "/rotate"
	first.diesDuring("answer", createA, newKey)

	second := serve(t, file)
	require.Len(t, second.list("olga", createA).Keys, 2, "it was written")
	p := second.do("both", "POST", createA, newKey, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone)
	require.NotEqual(t, m.Key.ID, p.Key)
	require.Equal(t, "ci", second.read("olga", p.Key).Name)
	require.Len(t, second.list("olga", createA).Keys, 2, "B23 no second key")
	second.diesDuring("answer", rotate, `{"grace":60}`)

	third := serve(t, file)
	third.do("both", "POST", rotate, `{"grace":60}`, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone)
	require.Len(t, third.read("olga", m.Key.ID).Secrets, 2, "B23 no second secret")
	third.diesDuring("write", "/workspaces/team-b/keys", newKey)

	last := serve(t, file)
	require.Empty(t, last.list("ada", "/workspaces/team-b/keys").Keys, "it was not written")
	last.do("both", "POST", "/workspaces/team-b/keys", newKey, "Idempotency-Key", "one").wants(http.StatusCreated)
	last.kill()
}

// process is a rig in a process of its own.
type process struct {
	*rig
	command *exec.Cmd
	out     *bufio.Reader
}

func serve(t *testing.T, file string) *process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program, "-test.run=^TestServe$")
	command.Env = append(os.Environ(), fileEnv+"="+file)
	command.Stderr = os.Stderr
	_, err = command.StdinPipe() // it ends with this process
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &process{&rig{t: t, shared: &shared{}}, command, bufio.NewReader(out)}
	t.Cleanup(p.kill)
	p.web = &httptest.Server{URL: p.line()}
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

// diesDuring sends a request and kills the process when it has come so far.
func (p *process) diesDuring(stage, path, body string) {
	p.t.Helper()
	failed := make(chan error, 1)
	go func() {
		_, err := p.try("both", "POST", path, body, "Idempotency-Key", "one", "X-Stop-At", stage)
		failed <- err
	}()
	require.Equal(p.t, stage, p.line())
	p.kill()
	require.Error(p.t, <-failed, "the client knows nothing")
}

// TestServe is the other process, and no test by itself.
func TestServe(t *testing.T) {
	file := os.Getenv(fileEnv)
	if file == "" {
		t.Skip("for TestKilled")
	}
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	require.NoError(t, err)
	database, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, database.Migrate(t.Context()))
	r := newRig(t, func(s *setup) {
		s.store = database.Store()
		s.store.Keys = stoppingKeys{s.store.Keys}
		s.mount = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				stage := req.Header.Get("X-Stop-At")
				h.ServeHTTP(stoppingWriter{w, stage}, req.WithContext(context.WithValue(req.Context(), stopAt{}, stage)))
			})
		}
	})
	fmt.Println(r.web.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(alone)
}

// alone is closed when the process that started this one is gone.
var alone = make(chan struct{})

type stopAt struct{}

// stop tells the other process how far the request has come, and waits to be
// killed.
func stop(stage string) {
	fmt.Println(stage)
	<-alone
}

type stoppingKeys struct{ store.Keys }

func (k stoppingKeys) Create(ctx context.Context, key store.Key, limit int, c store.Change) error {
	if ctx.Value(stopAt{}) == "write" {
		stop("write")
	}
	return k.Keys.Create(ctx, key, limit, c)
}

type stoppingWriter struct {
	http.ResponseWriter
	stage string
}

func (w stoppingWriter) WriteHeader(status int) {
	if w.stage == "answer" {
		stop("answer")
	}
	w.ResponseWriter.WriteHeader(status)
}
