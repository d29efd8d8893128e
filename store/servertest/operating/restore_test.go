package main

import (
	"database/sql"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRestore runs the handbook's commands for a backup of PostgreSQL and its restore.
func TestRestore(t *testing.T) {
	t.Parallel()
	p, migrating, running := prepare(t)
	printed, err := migrating.command("migrate").CombinedOutput()
	require.NoError(t, err, "%s", printed)
	host, port, err := net.SplitHostPort(p.Addr())
	require.NoError(t, err)
	folder := t.TempDir()
	shell := func(begin string) {
		t.Helper()
		line := regexp.MustCompile(`(?m)^ *(` + begin + ` .+)$`).FindStringSubmatch(handbook(t))
		require.NotNil(t, line, begin)
		command := exec.Command("sh", "-c", regexp.MustCompile(`\bapp\b`).ReplaceAllString(line[1], "test"))
		command.Dir = folder
		command.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=postgres")
		printed, err := command.CombinedOutput()
		require.NoError(t, err, "%s", printed)
	}
	before := running.firstKey(t)
	r := running.serve(t, freeAddr(t))
	early := before.mustLogin(t, r)
	require.NoError(t, r.Process.Kill())
	_ = r.Wait()
	shell("pg_dump")
	backedUp := time.Now().UTC().Format("2006-01-02 15:04:05.999999Z")
	since := running.firstKey(t)
	shell("psql")
	shell("pg_restore")

	require.Contains(t, handbook(t), "`./backend revoke-tokens`")
	printed, err = running.command("revoke-tokens").CombinedOutput()
	require.NoError(t, err, "%s", printed)

	r = running.serve(t, freeAddr(t))
	r.accepts(t, before.mustLogin(t, r))
	require.Eventually(t, func() bool {
		status, err := call(t.Context(), r, early)
		require.NoError(t, err)
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, status, "a token from before")
		return status == http.StatusUnauthorized
	}, patience, 10*time.Millisecond)
	_, err = since.login(t.Context(), r)
	for err == errBusy {
		_, err = since.login(t.Context(), r)
	}
	require.ErrorContains(t, err, "invalid_client", "a key that was made after the backup")

	_, query, found := strings.Cut(handbook(t), "SELECT at, action, workspace, key_id FROM latchkey_before.")
	require.True(t, found)
	query, _, _ = strings.Cut(query, ";")
	query = regexp.MustCompile(`'2026[^']+'`).ReplaceAllString("SELECT action, key_id FROM latchkey_before."+query, "'"+backedUp+"'")
	db, err := sql.Open("pgx", superuser(p))
	require.NoError(t, err)
	defer db.Close()
	var action, id string
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&action, &id))
	require.Equal(t, []string{"key.create", since[0]}, []string{action, id}, "the old tables show what happened since")
}
