package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serving runs the program until the test ends. It returns what the program prints at its
// start, and a function that ends it earlier.
func serving(t *testing.T, args ...string) (text string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr=127.0.0.1:0"}, args...), out)
		_ = out.CloseWithError(err)
		ended <- err
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			_ = in.Close()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	var all strings.Builder
	for lines := bufio.NewReader(in); !strings.Contains(all.String(), "Press Ctrl-C"); {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		all.WriteString(line)
	}
	return all.String(), stop
}

func urlIn(t *testing.T, text string) string {
	t.Helper()
	url := regexp.MustCompile(`http://\S+`).FindString(text)
	require.NotEmpty(t, url)
	return url
}

func readCredentials(t *testing.T, file string) credentials {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var c credentials
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&c))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	return c
}

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "first-key.json")
	text, _ := serving(t, "-store", "memory", "-workspaces", "blue, green", "-bootstrap", file)
	require.Contains(t, text, "admin, blue, green")
	require.Contains(t, text, file)
	require.NotContains(t, text, "lk_", "it prints no secret")

	w := &testBackend{url: urlIn(t, text)}
	token := w.login(t, readCredentials(t, file))
	require.NotEmpty(t, token)
	for _, workspace := range []string{"admin", "blue", "green"} {
		k := w.made(t, token, workspace, `,"permissions":["WORKSPACE_LIST"]`)
		require.Equal(t, http.StatusOK, w.call(t, w.login(t, k.credentials()), http.MethodGet, "/api/meshobjects/meshworkspaces/"+workspace, "").status)
	}
	require.Equal(t, http.StatusNotFound, w.call(t, token, http.MethodPost, keysPath, keyBody("team-a", `,"permissions":[]`)).status)
}

func TestIssuer(t *testing.T) {
	metadata := func(args ...string) (url, issuer string) {
		text, _ := serving(t, append(args, "-store", "memory")...)
		url = urlIn(t, text)
		got, err := send(t.Context(), http.MethodGet, url+"/.well-known/oauth-authorization-server", nil, "")
		require.NoError(t, err)
		var m struct {
			Issuer string `json:"issuer"`
		}
		require.NoError(t, json.Unmarshal(got.body, &m))
		return url, m.Issuer
	}
	url, issuer := metadata()
	require.Equal(t, url, issuer)
	_, issuer = metadata("-issuer", "https://mesh.example.com")
	require.Equal(t, "https://mesh.example.com", issuer)
	url, issuer = metadata("-addr", "[::]:0")
	require.Equal(t, url, issuer)
	require.Contains(t, url, "http://127.0.0.1:")
}

// TestOtherMachines: if other machines can reach the program, it says that it speaks plain
// HTTP.
func TestOtherMachines(t *testing.T) {
	for addr, warned := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true} {
		text, _ := serving(t, "-store", "memory", "-addr", addr)
		require.Equal(t, warned, strings.Contains(text, "it speaks plain HTTP"), addr)
		require.Equal(t, warned, strings.Contains(text, "set -issuer to the proxy's https URL"), addr)
	}
}

func TestWrongArguments(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	other := filepath.Join(t.TempDir(), "other.json")
	require.NoError(t, os.WriteFile(other, []byte("other data of the user"), 0o600))
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown flag", []string{"-nonsense"}, "flag provided but not defined"},
		{"a further argument", []string{"nonsense"}, `unexpected argument "nonsense"`},
		{"an unknown store", []string{"-store", "oracle://user:hunter2@host"}, "-store: "},
		{"a PostgreSQL store whose URL is broken", []string{"-store", "postgres://user:hunter2@host:port/x"}, "-store: "},
		{"a MySQL store whose URL is broken", []string{"-store", "mysql://user:hunter2@host/%zz"}, "-store: "},
		{"a Redis store whose URL is broken", []string{"-store", "redis://user:hunter2@host/nonsense"}, "-store: "},
		{"a PostgreSQL store that is not there", []string{"-store", "postgres://user:hunter2@127.0.0.1:1/x"}, "unavailable"},
		{"a MySQL store that is not there", []string{"-store", "mysql://user:hunter2@127.0.0.1:1/x"}, "unavailable"},
		{"a Redis store that is not there", []string{"-store", "redis://user:hunter2@127.0.0.1:1/0"}, "-store: oauth: "},
		{"an issuer that is no URL", []string{"-store", "memory", "-issuer", "nonsense"}, "Config.Issuer"},
		{"an issuer of plain http elsewhere", []string{"-store", "memory", "-issuer", "http://mesh.example.com"}, "Config.Issuer: it must be https"},
		{"no address", []string{"-store", "memory", "-addr", "nonsense"}, "nonsense"},
		{"a port that is taken", []string{"-store", "memory", "-addr", taken.Addr().String()}, "address already in use"},
		{"a bootstrap file in no folder", []string{"-store", "memory", "-bootstrap", filepath.Join(other, "x")}, "-bootstrap: "},
		{"a bootstrap file that holds something else", []string{"-store", "memory", "-bootstrap", other}, "holds other data and is not overwritten"},
		{"a secrets file that holds something else", []string{"-store", "sqlite:x.db", "-secrets", other}, "must hold exactly 96 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // if the arguments are accepted, it serves until then
			defer cancel()
			err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, tc.args...), io.Discard)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "other data of the user", string(text))
	t.Run("help", func(t *testing.T) {
		require.ErrorIs(t, run(t.Context(), []string{"-h"}, io.Discard), flag.ErrHelp)
	})
}
