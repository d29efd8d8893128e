package apikey_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the file outlives the process

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// remindEnv names the database to a process that reminds.
const remindEnv = "LATCHKEY_REMIND_TEST_FILE"

// TestReminderSurvivesAKill kills one process between its claim and its call,
// and another between the call and the note of it. The next one calls again,
// with the same id; the one after that does not.
func TestReminderSurvivesAKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.db")
	r := rigOn(t, openFile(t, file))
	r.expiring("ci", 10*day)

	require.Equal(t, []string{"claimed"}, remindAndDie(t, file, noon, "claimed"), "it never came to a call")
	require.Equal(t, []string{"done"}, remindAndDie(t, file, noon.Add(4*time.Minute), ""), "the claim holds for a while")
	called := remindAndDie(t, file, noon.Add(5*time.Minute), "called")
	require.Equal(t, []string{"claimed", "called"}, []string{called[0], called[1][:6]})
	again := remindAndDie(t, file, noon.Add(15*time.Minute), "")
	require.Equal(t, []string{"claimed", called[1], "claimed", "done"}, again, "the same id, and then a note")
	require.Equal(t, []string{"done"}, remindAndDie(t, file, noon.Add(time.Hour), ""))
}

func openFile(t *testing.T, file string) store.Store {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	database, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, database.Migrate(t.Context()))
	return database.Store()
}

// remindAndDie lets another process remind at the given time, kills it at the
// given stage, and returns how it got there.
func remindAndDie(t *testing.T, file string, at time.Time, stage string) []string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program, "-test.run=^TestRemindingProcess$")
	command.Env = append(os.Environ(), remindEnv+"="+file+"|"+at.Format(time.RFC3339)+"|"+stage)
	command.Stderr = os.Stderr
	_, err = command.StdinPipe() // it ends with this process
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	var steps []string
	for in := bufio.NewScanner(out); in.Scan(); {
		step := in.Text()
		steps = append(steps, step)
		if name, _, _ := strings.Cut(step, " "); name == stage || name == "done" {
			return steps
		}
	}
	t.Fatalf("the process ended after %q", steps)
	return nil
}

// TestRemindingProcess is the other process, and no test by itself.
func TestRemindingProcess(t *testing.T) {
	parts := strings.Split(os.Getenv(remindEnv), "|")
	if len(parts) != 3 {
		t.Skip("for TestReminderSurvivesAKill")
	}
	at, err := time.Parse(time.RFC3339, parts[1])
	require.NoError(t, err)
	stage := parts[2]
	alone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(alone)
	}()
	pass := func(step string) {
		fmt.Println(step)
		if name, _, _ := strings.Cut(step, " "); name == stage {
			<-alone
		}
	}
	st := openFile(t, parts[0])
	st.OnceIDs = tellingIDs{st.OnceIDs, pass}
	r := rigOn(t, st, func(c *apikey.Config) {
		c.Reminders.Send = func(_ context.Context, r apikey.Reminder) error {
			pass("called " + r.ID)
			return nil
		}
	})
	r.clock.Set(at)
	require.NoError(t, r.Remind(t.Context()))
	pass("done")
}

// tellingIDs tells of each id that was spent for a reminder.
type tellingIDs struct {
	store.OnceIDs
	spent func(string)
}

func (o tellingIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := o.OnceIDs.Spend(ctx, id, now)
	if err == nil && !strings.HasPrefix(id.ID, "scan") {
		o.spent("claimed")
	}
	return err
}

// TestRemindersInAnOutage: where nobody can claim, nobody calls; where what
// was sent cannot be noted, it is sent again under the same id.
func TestRemindersInAnOutage(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails int // which of the calls: find sent, find attempt, spend attempt, find sent, spend sent
		calls []int
	}{
		{"is it sent", 1, []int{0, 1}}, {"is there an attempt", 2, []int{0, 1}}, {"the claim", 3, []int{0, 1}},
		{"is it sent meanwhile", 4, []int{0, 1}}, {"the note", 5, []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in inbox
			st := memstore.New()
			faulty := &faultyIDs{OnceIDs: st.OnceIDs, at: c.fails}
			st.OnceIDs = faulty
			r := rigOn(t, st, in.config)
			r.expiring("ci", 10*day)
			require.ErrorIs(t, r.note(r.Remind(t.Context())), store.ErrUnavailable)
			require.Len(t, in.got, c.calls[0])
			r.clock.Add(5 * time.Minute)
			require.NoError(t, r.Remind(t.Context()))
			require.NoError(t, r.Remind(t.Context()))
			require.Len(t, in.got, c.calls[1])
			for _, again := range in.got {
				require.Equal(t, in.got[0].ID, again.ID)
			}
		})
	}
}

// faultyIDs fails one call.
type faultyIDs struct {
	store.OnceIDs
	at, calls int
}

func (f *faultyIDs) fault() error {
	if f.calls++; f.calls == f.at {
		return store.ErrUnavailable
	}
	return nil
}

func (f *faultyIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	if err := f.fault(); err != nil {
		return store.OnceID{}, err
	}
	return f.OnceIDs.Find(ctx, space, id, now)
}

func (f *faultyIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.OnceIDs.Spend(ctx, id, now)
}
