package console_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// tamperingProxy is a proxy between a host and a browser. It changes pages as if the host
// had made a mistake.
type tamperingProxy struct {
	mu  sync.Mutex
	now tampering
	out string // the origin to which the sign-out leads; empty: the host's own
	in  string // the same for the sign-in
}

// tampering is what the proxy changes in the console's pages.
type tampering struct {
	markup  string   // put into the page, as by a mistake in escaping
	loosen  []string // replacements in the policy, in pairs
	without []string // headers that are left out
}

func (s *tamperingProxy) set(now tampering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func (s *tamperingProxy) redirectSignIn(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = to
}

func (s *tamperingProxy) change(answer *http.Response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != "" && strings.HasSuffix(answer.Request.URL.Path, "/sign-out") {
		answer.Header.Set("Location", s.out+"/form")
	}
	if s.in != "" && strings.Contains(answer.Header.Get("Location"), "/sign-in?return=") {
		answer.Header.Set("Location", s.in+"/form")
	}
	policy := answer.Header.Get("Content-Security-Policy")
	if policy == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	answer.Header.Set("Content-Security-Policy", strings.NewReplacer(s.now.loosen...).Replace(policy))
	for _, name := range s.now.without {
		answer.Header.Del(name)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	body = bytes.Replace(body, []byte("</main>"), []byte(s.now.markup+"</main>"), 1)
	answer.Body = io.NopCloser(bytes.NewReader(body))
	answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// behindTampering returns the host behind the proxy. Beside the console it has two pages: one
// shows a page of the console in a frame, the other is a plain page.
func behindTampering(t *testing.T, h *host, s *tamperingProxy) *host {
	t.Helper()
	to, err := url.Parse(h.url)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, ModifyResponse: s.change,
	})
	for path, content := range map[string]string{
		"/framing": `<iframe src="/console/workspaces/shop/keys"></iframe>`,
		"/plain":   `<p>A page that may be kept.</p>`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, `<!doctype html><title>A page</title><link rel="icon" href="data:,">`+content)
		})
	}
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return &host{t: t, srv: h.srv, store: h.store, url: web.URL}
}
