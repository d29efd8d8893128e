// Package interop_test tests clients and verifiers for Go with Latchkey. What each of them did
// and refused becomes a row of RESULTS.md; see the table command.
package interop_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

// peer is a program or library that is tested with Latchkey. Its name is its module path in
// go.mod, if it has one.
type peer string

// shows runs f as a subtest. If f passes, the text what is added to the peer's row.
func (p peer) shows(t *testing.T, what string, f func(t *testing.T)) { p.run(t, "shown", what, f) }

// refuses is the same for what the peer must refuse.
func (p peer) refuses(t *testing.T, what string, f func(t *testing.T)) { p.run(t, "refused", what, f) }

func (p peer) run(t *testing.T, kind, what string, f func(t *testing.T)) {
	t.Helper()
	if t.Run(kind+" "+what, f) {
		t.Attr(kind, string(p)+"\t"+what)
	}
}

func start(t *testing.T, algorithm string) testserver.Facts {
	t.Helper()
	w, err := testserver.Start(t.Context(), algorithm)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w.Facts
}

// startSigning is start for clients with a private key.
func startSigning(t *testing.T) (*testserver.Server, testserver.Facts) {
	t.Helper()
	w, err := testserver.Start(t.Context(), "ES256")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	require.NoError(t, w.AddSigning(t.Context()))
	return w, w.Facts
}

// limited returns a context with a timeout, for peers that hang.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// get returns the status and the body of an answer.
func get(t *testing.T, client *http.Client, url string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(limited(t), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}
