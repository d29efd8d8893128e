package killed_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// TestReminderSurvivesAKill kills one process between the claim of a reminder and the
// call, and another between the call and the record of it. The next process calls again
// with the same id. The one after that does not.
func TestReminderSurvivesAKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.db")
	_, _, err := service(t, openFile(t, file), noon).Create(t.Context(), owner, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), Expiry: apikey.Expiry{At: noon.Add(10 * 24 * time.Hour)},
	})
	require.NoError(t, err)

	require.Equal(t, []string{"claimed"}, remindAndDie(t, file, noon, "claimed"), "there was no call")
	require.Equal(t, []string{"done"}, remindAndDie(t, file, noon.Add(4*time.Minute), ""), "the claim has not expired")
	called := remindAndDie(t, file, noon.Add(5*time.Minute), "called")
	require.Equal(t, []string{"claimed", "called"}, []string{called[0], called[1][:6]})
	again := remindAndDie(t, file, noon.Add(15*time.Minute), "")
	require.Equal(t, []string{"claimed", called[1], "claimed", "done"}, again, "a call with the same id, and then the record")
	require.Equal(t, []string{"done"}, remindAndDie(t, file, noon.Add(time.Hour), ""))
}

// remindAndDie starts a process that sends reminders at the given time, kills it at the
// given stage, and returns its steps.
func remindAndDie(t *testing.T, file string, at time.Time, stage string) []string {
	t.Helper()
	p := start(t, "remind", file, at.Format(time.RFC3339), stage)
	defer p.kill()
	var steps []string
	for {
		step, err := p.out.ReadString('\n')
		require.NoError(t, err, "the process ended after %q", steps)
		step = strings.TrimSpace(step)
		steps = append(steps, step)
		if name, _, _ := strings.Cut(step, " "); name == stage || name == "done" {
			return steps
		}
	}
}

// remind is the other process.
func remind(file, at, stage string) error {
	now, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return err
	}
	pass := func(step string) {
		fmt.Println(step)
		if name, _, _ := strings.Cut(step, " "); name == stage {
			waitToBeKilled()
		}
	}
	st, err := open(file)
	if err != nil {
		return err
	}
	st.OnceIDs = printingIDs{st.OnceIDs, pass}
	cfg := config(now)
	cfg.RemindBefore = []time.Duration{30 * 24 * time.Hour}
	keys, err := apikey.New(st, cfg)
	if err != nil {
		return err
	}
	sender, err := reminders.New(st, keys, func(_ context.Context, r reminders.Reminder) error {
		pass("called " + r.ID)
		return nil
	})
	if err != nil {
		return err
	}
	if err := sender.Remind(context.Background()); err != nil {
		return err
	}
	pass("done")
	return nil
}

// printingIDs prints a line when an id is spent for a reminder.
type printingIDs struct {
	store.OnceIDs
	spent func(string)
}

func (o printingIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := o.OnceIDs.Spend(ctx, id, now)
	if err == nil && !strings.HasPrefix(id.ID, "scan") {
		o.spent("claimed")
	}
	return err
}
