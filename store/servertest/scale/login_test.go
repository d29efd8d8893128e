package scale_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// logins makes logins at an authorization server in this process, with keys of
// several workspaces.
type logins struct {
	handler http.Handler
	forms   []string
	request *http.Request
	body    strings.Reader
	header  http.Header
	status  int
	reply   []byte
}

// newLogins returns logins at a server with the store st. The keys are created through
// keep, which has the same data.
func newLogins(t *testing.T, st, keep store.Store, keys int) *logins {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var names []scope.Permission
	for _, name := range permissions.Names() {
		names = append(names, scope.Permission{Name: name, Title: name})
	}
	serve := func(st store.Store) *oauth.Server {
		srv, err := oauth.New(st, oauth.Config{
			Issuer: "https://api.example.com", Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: names}),
			Logger: quiet, LoginTimeout: time.Minute, Signers: []oauth.SigningKey{{Key: private}},
			APIKeys: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: bytes.Repeat([]byte("p"), 32)}}},
		})
		require.NoError(t, err)
		return srv
	}
	l := &logins{handler: serve(st).Token(), header: make(http.Header), reply: make([]byte, 0, 4096)}
	creator := serve(keep).APIKeys()
	for i := range keys {
		key, secret, err := creator.Create(context.Background(), apikey.OrganizationAdmin("person-1"), apikey.Spec{
			Workspace: fmt.Sprint("login-", i%10), Name: fmt.Sprintf("deployment-%09d", i), Permissions: permissions,
		})
		require.NoError(t, err)
		l.forms = append(l.forms, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()},
		}.Encode())
	}
	l.request = &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: "/api/login"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Host: "127.0.0.1",
		RemoteAddr: "192.0.2.7:4711", Body: l,
	}
	return l
}

// once makes one login with the nth key.
func (l *logins) once(n int) error {
	form := l.forms[n%len(l.forms)]
	l.body.Reset(form)
	l.request.ContentLength = int64(len(form))
	clear(l.header)
	l.status, l.reply = 0, l.reply[:0]
	l.handler.ServeHTTP(l, l.request)
	if l.status != http.StatusOK {
		return fmt.Errorf("%d %s", l.status, l.reply)
	}
	return nil
}

func (l *logins) Read(p []byte) (int, error) { return l.body.Read(p) }
func (l *logins) Close() error               { return nil }
func (l *logins) Header() http.Header        { return l.header }
func (l *logins) WriteHeader(status int)     { l.status = status }
func (l *logins) Write(p []byte) (int, error) {
	if l.status == 0 {
		l.status = http.StatusOK
	}
	l.reply = append(l.reply, p...)
	return len(p), nil
}
