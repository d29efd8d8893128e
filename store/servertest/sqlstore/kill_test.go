package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// victimEnv is the environment variable with the file of the process that is killed.
const victimEnv = "LATCHKEY_TEST_VICTIM"

// If the process is killed at any moment, SQLite loses no acknowledged change, has both or
// neither of a change and its event, and the file is not damaged.
func TestKilledSQLiteLosesNothing(t *testing.T) {
	rounds := 3
	if soak() {
		rounds = 50
	}
	file := filepath.Join(t.TempDir(), "keys.db")
	var all []string
	for round := range rounds {
		acknowledged := killOne(t, file, round)
		checkSurvivors(t, file, acknowledged)
		all = append(all, acknowledged...)
	}
	checkSurvivors(t, file, all)
	t.Logf("%d rounds, %d acknowledged changes, none lost", rounds, len(all))
}

// beKilled is the process that is killed: four writers create and rotate keys, and print
// what was acknowledged.
func beKilled(file string) error {
	ctx := context.Background()
	db, err := sql.Open("sqlite", sqliteSource(file))
	if err != nil {
		return err
	}
	d, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return err
	}
	if err := d.Migrate(ctx); err != nil {
		return err
	}
	s := d.Store()
	out := os.NewFile(3, "acknowledged")
	prefix := os.Getenv("LATCHKEY_TEST_ROUND")
	return errors.Join(race(4, func(writer int) error {
		for n := 0; ; n++ {
			k := key(fmt.Sprint("team-", writer), fmt.Sprintf("%s-%d-%d", prefix, writer, n))
			for k.Version = 0; k.Version < 3; k.Version++ {
				name := fmt.Sprintf("%s@%d", k.ID, k.Version+1)
				var err error
				if k.Version == 0 {
					err = s.Keys.Create(ctx, k, store.NoLimit, event(name))
				} else {
					k.Credentials[0].ID = fmt.Sprintf("s%d-%s", k.Version+1, k.ID)
					err = s.Keys.Update(ctx, k, event(name))
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(out, name)
			}
		}
	})...)
}

// killOne starts a process on the file and kills it at a random moment after its first
// acknowledgements. It returns the acknowledgements.
func killOne(t *testing.T, file string, round int) []string {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	victim := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this binary itself
	victim.Env = append(os.Environ(), victimEnv+"="+file, fmt.Sprint("LATCHKEY_TEST_ROUND=r", round))
	victim.ExtraFiles = []*os.File{write}
	require.NoError(t, victim.Start())
	require.NoError(t, write.Close())

	lines := bufio.NewScanner(read)
	var acknowledged []string
	for len(acknowledged) < 5 && lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
	}
	require.Len(t, acknowledged, 5, "the process ended before it wrote enough")
	moment := time.AfterFunc(rand.N(500*time.Millisecond), func() { _ = victim.Process.Kill() })
	defer moment.Stop()
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
	}
	require.ErrorContains(t, victim.Wait(), "killed")
	return acknowledged
}

// checkSurvivors opens the file as a new process would, and checks the records.
func checkSurvivors(t *testing.T, file string, acknowledged []string) {
	t.Helper()
	db := dial(t, "sqlite", sqliteSource(file))
	var sound string
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound))
	require.Equal(t, "ok", sound)

	s := engines[2].tables(t, db, sqlstore.Config{}).Store()
	eventIDs := make(map[string]bool)
	q := store.EventQuery{Limit: store.MaxPage}
	for {
		page, err := s.Events.List(t.Context(), q)
		require.NoError(t, err)
		for _, e := range page.Events {
			eventIDs[e.ID] = true
		}
		if q.After = page.Next; q.After == nil {
			break
		}
	}
	for _, name := range acknowledged {
		id, version, _ := strings.Cut(name, "@")
		found, err := s.Keys.Lookup(t.Context(), id)
		require.NoError(t, err, "%s was acknowledged", name)
		require.GreaterOrEqual(t, fmt.Sprint(found.Key.Version), version, "%s was acknowledged", name)
		require.True(t, eventIDs[name], "%s has its event", name)
	}
	// Changes that were not acknowledged may be there or not, but not in part.
	var keys, versions int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(version) FROM latchkey_keys").Scan(&keys, &versions))
	require.Len(t, eventIDs, versions, "an event for each version of each key")
	held := 0
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT SUM(held) FROM latchkey_workspaces").Scan(&held))
	require.Equal(t, keys, held)
	require.Equal(t, keys, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials s JOIN latchkey_keys k ON k.id = s.key_id"))
	require.Equal(t, keys, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials"))
	require.NoError(t, db.Close())
}
