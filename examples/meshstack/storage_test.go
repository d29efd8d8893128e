package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// TestRestart uses a key in each store, and restarts the program in between. Acknowledged
// changes are kept, and an earlier token is still valid.
func TestRestart(t *testing.T) {
	for name, makeStore := range map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "sqlite:keys.db" },
		"postgres": postgresStore, "mariadb": mariaStore, "redis": redisStore,
	} {
		t.Run(name, func(t *testing.T) {
			storeName := makeStore(t)
			t.Chdir(t.TempDir())
			start := func() (*testBackend, string, func()) {
				text, stop := serving(t, "-store", storeName, "-bootstrap", "first-key", "-issuer", "https://mesh.example.com")
				return &testBackend{url: urlIn(t, text)}, text, stop
			}

			w, text, stop := start()
			require.Contains(t, text, "was created; its credentials are in first-key")
			first := readCredentials(t, "first-key")
			token := w.login(t, first)
			made := w.made(t, token, "team-a", `,"permissions":["WORKSPACE_LIST"],"expiresAt":"2099-12-31"`)
			require.NotEmpty(t, w.login(t, made.credentials()))
			stop()
			info, err := os.Stat("meshstack-secrets")
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

			w, text, stop = start()
			require.Contains(t, text, "exists; its credentials were written when it was created")
			require.Equal(t, first, readCredentials(t, "first-key"))
			require.NotEmpty(t, w.login(t, first))
			path := keysPath + "/" + made.Metadata.UUID
			got := w.call(t, token, http.MethodGet, path, "")
			require.Equal(t, http.StatusOK, got.status, "an earlier token: %s", got.body)
			require.Equal(t, made.Spec, got.key(t).Spec)
			require.Contains(t, string(w.call(t, token, http.MethodGet, "/api/admin/keys/"+made.Metadata.UUID, "").body), `"last_used_at":"2`,
				"the end of the program writes the last logins")
			rotated := w.call(t, token, http.MethodPut, path, keyBody("team-a", `,"permissions":[]`)).key(t)
			require.Empty(t, w.login(t, made.credentials()))
			stop()

			w, _, stop = start()
			require.NotEmpty(t, w.login(t, rotated.credentials()))
			require.Empty(t, w.login(t, made.credentials()))
			require.Equal(t, http.StatusNoContent, w.call(t, token, http.MethodDelete, path, "").status)
			stop()

			// A start with another pepper and seal key fails. The error names the file and what it
			// lacks.
			require.NoError(t, os.Rename("meshstack-secrets", "right"))
			for _, args := range [][]string{nil, {"-issuer", "https://mesh.example.com"}} {
				for _, made := range []bool{true, false} {
					var out strings.Builder
					err = run(t.Context(), append([]string{"-addr", "127.0.0.1:0", "-store", storeName}, args...), &out)
					require.ErrorContains(t, err, "it is another key under the same name")
					require.ErrorContains(t, err, "pepper 1 has the fingerprint")
					require.Regexp(t, `with the secrets in /\S+/meshstack-secrets\b`, err.Error())
					require.Equal(t, made, strings.Contains(err.Error(), "did not exist and was created"), err.Error())
					require.Empty(t, out.String())
				}
				require.NoError(t, os.Remove("meshstack-secrets"))
			}
			require.NoError(t, os.Rename("right", "meshstack-secrets"))
			w, _, stop = start()
			require.NotEmpty(t, w.login(t, first))
			stop()
		})
	}
}

// server returns the value of an environment variable with the URL of a test server.
func server(t *testing.T, variable string) string {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" && os.Getenv("LATCHKEY_REQUIRE_SERVERS") != "1" {
		t.Skipf("%s is not set to the URL of a server", variable)
	}
	require.NotEmpty(t, name, variable)
	return name
}

func postgresStore(t *testing.T) string {
	address := server(t, "LATCHKEY_TEST_POSTGRES")
	name := "mesh_" + strings.ToLower(rand.Text())
	execute(t, "pgx", address, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	u, err := url.Parse(address)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String()
}

func mariaStore(t *testing.T) string {
	source := server(t, "LATCHKEY_TEST_MARIADB")
	name := "mesh_" + strings.ToLower(rand.Text())
	execute(t, "mysql", source, "CREATE DATABASE "+name, "DROP DATABASE "+name)
	cfg, err := mysql.ParseDSN(source)
	require.NoError(t, err)
	u := url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + name}
	return u.String()
}

// redisStore reserves one of the databases of a Redis, so that two runs of this test do not
// interfere. It leaves nothing in the database.
func redisStore(t *testing.T) string {
	address := server(t, "LATCHKEY_TEST_REDIS")
	ctx := context.Background() // the end of the test cleans up, too
	for number := 15; number > 0; number-- {
		client := redis.NewClient(&redis.Options{Addr: address, DB: number})
		if claimed, err := client.SetNX(ctx, "mesh-test", "claimed", 5*time.Minute).Result(); err != nil || !claimed {
			require.NoError(t, client.Close())
			continue
		}
		clean := func() {
			for keys := client.Scan(ctx, 0, "latchkey*", 1000).Iterator(); keys.Next(ctx); {
				require.NoError(t, client.Del(ctx, keys.Val()).Err())
			}
		}
		clean()
		t.Cleanup(func() {
			clean()
			require.NoError(t, client.Del(ctx, "mesh-test").Err())
			require.NoError(t, client.Close())
		})
		return fmt.Sprintf("redis://%s/%d", address, number)
	}
	require.Fail(t, "no database of this Redis is free")
	return ""
}

// execute runs a statement now and another when the test is over.
func execute(t *testing.T, driver, source, now, after string) {
	t.Helper()
	one := func(statement string) {
		db, err := sql.Open(driver, source)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
	one(now)
	t.Cleanup(func() { one(after) })
}
