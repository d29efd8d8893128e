package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOnce runs the issuer in its own process.
func TestOnce(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-once"}, strings.NewReader(""), &out))
	require.Contains(t, out.String(), "the resource server accepts its token: 200")
	require.Contains(t, out.String(), "the token does not reach another workspace: 404")
	require.Contains(t, out.String(), "the resource server refuses it: 401")
	require.Contains(t, out.String(), "All steps succeeded.")
	require.NotContains(t, out.String(), "lk_", "it prints no secret")
}

func TestBadInput(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.json")
	require.NoError(t, os.WriteFile(empty, []byte("{}\n"), 0o600))
	for name, c := range map[string]struct {
		args []string
		in   string
		want string
	}{
		"no such file":    {[]string{"-issuer", filepath.Join(t.TempDir(), "none")}, "", "no such file"},
		"no issuer in it": {[]string{"-issuer", empty}, "", "it must hold issuer"},
		"not JSON":        {[]string{"-issuer", "-"}, "hello\n", "line of JSON"},
		"empty input":     {[]string{"-issuer", "-"}, "", "line of JSON"},
		"an http issuer elsewhere": {[]string{"-issuer", "-"},
			`{"issuer":"http://a.example","jwks_url":"http://a.example/jwks","client_id":"x","client_secret":"y"}` + "\n", "URL"},
		"an unknown flag": {[]string{"-nothing"}, "", "flag provided but not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), c.args, strings.NewReader(c.in), &bytes.Buffer{}), c.want)
		})
	}
}
