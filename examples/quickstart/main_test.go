package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2/clientcredentials"
)

const anyPort = "-addr=127.0.0.1:0"

func TestOnce(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-once", anyPort}, &out))
	require.Contains(t, out.String(), "All steps succeeded.")
	require.Contains(t, out.String(), "the program reads its projects: 200 OK")
	require.Contains(t, out.String(), "the program lacks a permission: 403 Forbidden")
	require.Contains(t, out.String(), "the program asks for another workspace: 404 Not Found")
	require.NotContains(t, out.String(), "lk_", "it prints no secret")
}

// serving runs the program until the test ends, and returns its output.
func serving(t *testing.T, args ...string) *bufio.Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append(args, anyPort), out)
		_ = out.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		_ = in.Close()
		require.NoError(t, <-done)
	})
	return bufio.NewReader(in)
}

func TestJSON(t *testing.T) {
	line, err := serving(t, "-json").ReadBytes('\n')
	require.NoError(t, err)
	var f facts
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&f))

	client := clientcredentials.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, TokenURL: f.TokenURL}
	for url, want := range map[string]int{f.ProtectedURL: 200, f.ForbiddenURL: 403, f.ForeignURL: 404, f.JWKSURL: 200, f.MetadataURL: 200} {
		status, err := get(t.Context(), client.Client(t.Context()), url)
		require.NoError(t, err)
		require.Equal(t, want, status, url)
	}
	status, err := get(t.Context(), http.DefaultClient, f.ProtectedURL)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestExplain(t *testing.T) {
	out := serving(t)
	var text strings.Builder
	for !strings.Contains(text.String(), "Press Ctrl-C to stop.") {
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		text.WriteString(line)
	}
	for _, want := range []string{"curl -s -d grant_type=client_credentials", "client_secret  lk_", "/workspaces/team-a/projects"} {
		require.Contains(t, text.String(), want)
	}
}

func TestSigningKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))

	jwks := func() string {
		line, err := serving(t, "-json", "-signing-key", file).ReadBytes('\n')
		require.NoError(t, err)
		var f facts
		require.NoError(t, json.Unmarshal(line, &f))
		response, err := http.Get(f.JWKSURL)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	first := jwks()
	require.Contains(t, first, `"ES256"`)
	require.Equal(t, first, jwks(), "the same key in the next process")
}

func TestWrongArguments(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown flag", []string{"-nonsense"}, "flag provided but not defined"},
		{"a further argument", []string{"nonsense"}, `unexpected argument "nonsense"`},
		{"no such key file", []string{"-signing-key", "/nonexistent"}, "/nonexistent"},
		{"a key file without a key", []string{"-signing-key", empty}, "empty.pem"},
		{"no address", []string{"-addr", "nonsense"}, "nonsense"},
		{"a port that is taken", []string{"-addr", taken.Addr().String()}, "address already in use"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), tc.args, &out)
			require.ErrorContains(t, err, tc.want)
			require.Empty(t, out.String())
		})
	}
	t.Run("help is not an error", func(t *testing.T) {
		require.NoError(t, run(t.Context(), []string{"-h"}, io.Discard))
	})
}
