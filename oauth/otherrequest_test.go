package oauth_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// requestKey finds the name of a request in its context.
type requestKey struct{}

// keeper is host code that keeps everything it gets, by the name of the request.
type keeper struct {
	mu       sync.Mutex
	contexts map[string][]context.Context
	texts    map[string][]func() string
	current  string
	foreign  map[string]any // what contexts showed of others
}

func newKeeper() *keeper {
	return &keeper{contexts: map[string][]context.Context{}, texts: map[string][]func() string{}, foreign: map[string]any{}}
}

func (k *keeper) context(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == "" { // no request: the making of keys
		return
	}
	k.contexts[k.current] = append(k.contexts[k.current], ctx)
	k.look()
}

// look compares the name in each kept context with that of its request: while
// another request runs, and at the end.
func (k *keeper) look() {
	for name, contexts := range k.contexts {
		for _, ctx := range contexts {
			seen := ctx.Value(requestKey{})
			if _, noted := k.foreign[name]; seen != name && !noted {
				k.foreign[name] = seen
			}
		}
	}
}

// in sets the name of the next request.
func (k *keeper) in(request string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current = request
}

// text keeps what is read from something that was handed over.
func (k *keeper) text(read func() string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.texts[k.current] = append(k.texts[k.current], read)
}

// A store, a policy, an observer, a hook, a log handler and a key of the
// host's, and what a middleware puts around the request.
type (
	keptEpochs struct {
		store.Epochs
		*keeper
	}
	keptKeys struct {
		store.Keys
		*keeper
	}
	keptLog struct {
		slog.Handler
		*keeper
	}
	keptSigner struct {
		crypto.Signer
		*keeper
	}
	keptBody struct {
		io.ReadCloser
		*keeper
	}
	keptWriter struct {
		http.ResponseWriter
		*keeper
	}
)

func (e keptEpochs) Read(ctx context.Context, t store.TokenRef) (store.EpochState, error) {
	e.context(ctx)
	return e.Epochs.Read(ctx, t)
}

func (s keptKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	s.context(ctx)
	return s.Keys.Lookup(ctx, id)
}

func (l keptLog) Enabled(ctx context.Context, _ slog.Level) bool {
	l.context(ctx)
	return true
}

func (l keptLog) Handle(ctx context.Context, r slog.Record) error {
	l.context(ctx)
	return l.Handler.Handle(ctx, r)
}

func (s keptSigner) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.text(func() string { return string(message) })
	return s.Signer.Sign(random, message, opts)
}

func (b keptBody) Read(p []byte) (int, error) {
	b.text(func() string { return string(p) })
	return b.ReadCloser.Read(p)
}

func (w keptWriter) Write(p []byte) (int, error) {
	w.text(func() string { return string(p) })
	return w.ResponseWriter.Write(p)
}

// TestNothingOfAnotherRequest tests that host code may keep what it gets in one
// request, for a trace or a log that is written later, and never sees data of
// another request in it.
func TestNothingOfAnotherRequest(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what one request gives back, the next one takes
	k := newKeeper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	st := memstore.New()
	st.Epochs, st.Keys = keptEpochs{st.Epochs, k}, keptKeys{st.Keys, k}
	w := newWorld(t, func(s *setup) {
		s.store = st
		s.config.Logger = slog.New(keptLog{s.config.Logger.Handler(), k})
		s.config.Signers = []oauth.SigningKey{{Algorithm: "EdDSA", Key: keptSigner{private, k}}}
		s.config.Policy = policy.TokenFunc(func(ctx context.Context, r *policy.TokenRequest) error {
			k.context(ctx)
			k.text(func() string {
				return r.Key.Workspace + " " + r.Workspace.ID + " " + r.Key.ID + " " + r.Requested.String()
			})
			return nil
		})
		s.config.Claims = func(ctx context.Context, g *apikey.Grant) (map[string]any, error) {
			k.context(ctx)
			k.text(func() string { return g.Key.Workspace + " " + g.Key.ID })
			return nil, nil
		}
		s.config.Observer = func(_ context.Context, o observe.Decision) {
			k.text(func() string { return o.Workspace + " " + o.KeyID + " " + o.ClientID })
		}
	})
	handlers := map[string]http.Handler{
		"login":         w.Token(),
		"introspection": w.Introspection(),
		"revocation":    w.Revocation(),
		"guard":         w.Require().AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})),
	}
	// send makes a request whose name is in its context, and keeps it for the
	// rest of the test.
	send := func(name, handler, body string, header ...string) answer {
		k.in(name)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, name))
		r.Body = keptBody{r.Body, k}
		r.Header.Set("Content-Type", form)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		rw := httptest.NewRecorder()
		handlers[handler].ServeHTTP(keptWriter{rw, k}, r)
		return answer{Response: rw.Result(), Body: rw.Body.String()}
	}

	const callers = 4
	owned := map[string][]string{} // by the name's last part, what only its requests hold
	for round := range 3 {
		for i := range callers {
			caller := string(rune('a' + i))
			k.in("")
			key, secret := w.newKey("workspace-of-"+caller, "project.list")
			id := key.ID
			name := func(what string) string { return what + string(rune('0'+round)) + "/" + caller }
			credentials := "&client_id=" + id + "&client_secret=" + secret
			login := send(name("login"), "login", cc+credentials+"&scope=project.list")
			require.Equal(t, http.StatusOK, login.StatusCode, login.Body)
			token := login.Token()
			for _, guarded := range []string{"guard", "again"} {
				require.Equal(t, http.StatusOK, send(name(guarded), "guard", "", "Authorization", "Bearer "+token).StatusCode)
			}
			require.Equal(t, true, send(name("introspect"), "introspection", "token="+token+credentials).Member("active"))
			require.Equal(t, http.StatusOK, send(name("revoke"), "revocation", "token="+token+credentials).StatusCode)
			require.Equal(t, http.StatusUnauthorized, send(name("refused"), "login", cc+"&client_id="+id+"&client_secret="+typo(secret)).StatusCode)
			owned[caller] = append(owned[caller], "workspace-of-"+caller, id, secret, token[:strings.LastIndexByte(token, '.')])
		}
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	require.Len(t, k.contexts, 3*callers*5, "every request but the refused")
	k.look()
	require.Empty(t, k.foreign, "a context that was kept shows another request, or none")
	for name, reads := range k.texts {
		_, caller, _ := strings.Cut(name, "/")
		for _, read := range reads {
			text := read()
			for other, belongings := range owned {
				for _, own := range belongings {
					if other != caller && strings.Contains(text, own) {
						t.Errorf("%s got data of %s: %.200q", name, other, text)
					}
				}
			}
		}
	}
}
