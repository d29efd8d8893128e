package trust_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

func TestAddresses(t *testing.T) {
	for kind, c := range map[string]struct{ public, private bool }{
		"public":  {true, false},
		"private": {false, true},
		"never":   {false, false},
	} {
		for _, address := range strings.Fields(map[string]string{
			"public":  "1.1.1.1 140.82.112.3 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 223.255.255.255 ::ffff:1.1.1.1 2606:4700::1111 2001:4860::1 2a00::1 64:ff9b::101:101",
			"private": "127.0.0.1 127.255.255.255 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 ::1 fc00::1 fd12:3456::1 fd00:42::43 ::ffff:127.0.0.1 ::ffff:10.0.0.1",
			"never": "0.0.0.0 0.1.2.3 169.254.169.254 169.254.0.1 ::ffff:169.254.169.254 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 " +
				"168.63.129.16 100.100.100.200 ::ffff:100.100.100.200 fd00:ec2::254 fd20:ce::254 fd00:42::42 fd00:c1::a9fe:a9fe :: fe80::1 fe80::a9fe:a9fe%eth0 fec0::1 ff02::1 2002:7f00:1::1 2002:a9fe:a9fe:: 2001::1 2001:db8::1 3fff::1 " +
				"100::1 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::a9fe:a9fe ::127.0.0.1 5f00::1",
		}[kind]) {
			t.Run("B17 "+kind+" "+address, func(t *testing.T) {
				a := netip.MustParseAddr(address)
				require.Equal(t, c.public, trust.IsPublic(a))
				require.Equal(t, c.private, trust.IsPrivate(a))
			})
		}
	}
}

// server is the issuer's server. It counts requests and connections.
type server struct {
	*httptest.Server
	hits, conns atomic.Int64
	mu          sync.Mutex
	handler     http.HandlerFunc // in place of what serves the keys
}

// serve makes the world's entry fetch its keys from a server on the loopback
// interface: by discovery, unless the change says otherwise.
func (w *world) serve() *server {
	s := &server{}
	keys := w.entry.JWKS
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		handler := s.handler
		s.mu.Unlock()
		switch {
		case handler != nil:
			handler(rw, r)
		case r.URL.Path == "/.well-known/openid-configuration":
			writeJSON(rw, map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "response_types_supported": []string{"id_token"}})
		default:
			_, _ = rw.Write(keys)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.StartTLS()
	w.t.Cleanup(s.Close)
	w.entry.JWKS, w.entry.Issuer = nil, s.URL
	w.entry.Private, w.entry.Ports = true, []int{s.port()}
	w.entry.RootCAs = x509.NewCertPool()
	w.entry.RootCAs.AddCert(s.Certificate())
	w.claims["iss"] = s.URL
	return s
}

func (s *server) port() int { return s.Listener.Addr().(*net.TCPAddr).Port }

func (s *server) answer(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func writeJSON(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// metadata answers discovery with these members and all else with keys.
func metadata(members map[string]any, keys []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			writeJSON(w, members)
			return
		}
		_, _ = w.Write(keys)
	}
}

func (w *world) find(l *trust.List) error {
	_, _, err := find(context.Background(), l, w.token(), []store.Trust{w.trust})
	return err
}

func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	keys := w.entry.JWKS
	s := w.serve()
	require.NoError(t, w.find(w.list()))
	require.EqualValues(t, 2, s.hits.Load())
	t.Run("B17 an issuer with a slash at its end", func(t *testing.T) {
		w.entry.Issuer += "/"
		w.claims["iss"] = w.entry.Issuer
		s.answer(metadata(map[string]any{"issuer": s.URL + "/", "jwks_uri": s.URL + "/jwks"}, keys))
		require.NoError(t, w.find(w.list()))
	})
	t.Run("B17 a URL of keys, without discovery", func(t *testing.T) {
		w.entry.JWKSURL = s.URL + "/keys"
		s.answer(metadata(map[string]any{}, keys))
		require.NoError(t, w.find(w.list()))
	})
}

func TestUnsupportedAndWrongKeysAreSkipped(t *testing.T) {
	w := newWorld(t)
	good := string(w.entry.JWKS)
	s := w.serve()
	members := map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"}
	inside := strings.TrimSuffix(strings.TrimPrefix(good, `{"keys":[`), `]}`)
	for name, set := range map[string]string{
		"unsupported":            string(withUnsupportedKeys(t, []byte(good))),
		"a weak key":             `{"keys":[{"kty":"RSA","kid":"weak","n":"AQAB","e":"AQAB"},` + inside + `]}`,
		"a private key":          `{"keys":[{"kty":"EC","crv":"P-256","kid":"private","x":"AA","y":"AA","d":"AA"},` + inside + `]}`,
		"a secret":               `{"keys":[{"kty":"oct","kid":"secret","k":"AAAA"},` + inside + `]}`,
		"a point off the curve":  `{"keys":[{"kty":"EC","crv":"P-256","kid":"off","x":"AA","y":"AA"},` + inside + `]}`,
		"not base64url":          `{"keys":[{"kty":"RSA","kid":"padded","n":"AQAB==","e":"AQAB"},` + inside + `]}`,
		"of another form":        `{"keys":[7,{"kty":7},` + inside + `]}`,
		"the same kid again":     `{"keys":[` + inside + `,` + strings.Replace(inside, `"x":"`, `"x":"A`, 1) + `]}`,
		"the same key again":     `{"keys":[` + inside + `,` + inside + `]}`,
		"without alg, as Azure":  `{"keys":[` + strings.Replace(inside, `"alg":"ES256",`, ``, 1) + `]}`,
		"other members of a set": `{"keys":[` + inside + `],"spiffe_sequence":1,"spiffe_refresh_hint":300}`,
	} {
		t.Run("B17 "+name, func(t *testing.T) {
			s.answer(metadata(members, []byte(set)))
			require.NoError(t, w.find(w.list()))
		})
	}
}

// An answer that is not good is an outage: the key may be there the next time. Nothing
// of it is in the error or the log.
func TestBadAnswers(t *testing.T) {
	w := newWorld(t)
	keys := w.entry.JWKS
	s := w.serve()
	other := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { s.hits.Add(1000); _, _ = rw.Write(keys) }))
	defer other.Close()
	plain := httptest.NewServer(other.Config.Handler)
	defer plain.Close()
	good := map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"}
	named := func(uri string) http.HandlerFunc {
		return metadata(map[string]any{"issuer": s.URL, "jwks_uri": uri}, keys)
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		log     string
	}{
		"status 500":               {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "s3cret", 500) }, "status 500"},
		"redirect to another host": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, "status 302"},
		"redirect to http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
		}, "status 307"},
		"not JSON":                       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("s3cret")) }, "metadata is not well-formed"},
		"longer than 64 KiB":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 64<<10+1)) }, "longer than 65536"},
		"a header longer than 16 KiB":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", strings.Repeat("s3cret", 10000)) }, "no valid HTTP answer"},
		"metadata of another issuer":     {metadata(map[string]any{"issuer": s.URL + "/", "jwks_uri": s.URL + "/jwks"}, keys), "of another issuer"},
		"metadata without an issuer":     {metadata(map[string]any{"jwks_uri": s.URL + "/jwks"}, keys), "of another issuer"},
		"metadata without jwks_uri":      {metadata(map[string]any{"issuer": s.URL}, keys), "jwks_uri of the issuer's metadata: must be an absolute URL"},
		"jwks_uri over http":             {named(plain.URL + "/s3cret"), "must be an https URL"},
		"jwks_uri of a file":             {named("file:///s3cret"), "jwks_uri of the issuer's metadata"},
		"jwks_uri with a password":       {named("https://me:s3cret@ci.example.com/"), "must not hold a user name"},
		"jwks_uri of another port":       {named(other.URL + "/s3cret"), "the port is not allowed"},
		"jwks_uri of a metadata service": {named("https://169.254.169.254/s3cret"), "the address is not allowed"},
		"jwks_uri of the same in IPv6":   {named("https://[::ffff:a9fe:a9fe]/s3cret"), "the address is not allowed"},
		"jwks_uri of no host":            {named("https://s3cret.invalid/"), "jwks_uri of the issuer's metadata"},
		"jwks_uri redirects":             {redirecting(good, other.URL), "status 302"},
		"keys is null":                   {metadata(good, []byte(`{"keys":null}`)), "not a key set"},
		"keys of another form":           {metadata(good, []byte(`{"s3cret":1}`)), "not a key set"},
		"101 keys":                       {metadata(good, []byte(`{"keys":[`+strings.Repeat(`{},`, 100)+`{}]}`)), "not a key set"},
		"keys longer than 64 KiB":        {metadata(good, append(make([]byte, 64<<10), keys...)), "longer than 65536"},
	} {
		t.Run("B17 "+name, func(t *testing.T) {
			w.log.Reset()
			s.hits.Store(0)
			s.answer(c.handler)
			err := w.find(w.list())
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.NotErrorIs(t, err, trust.ErrRefused)
			require.LessOrEqual(t, s.hits.Load(), int64(2))
			require.Contains(t, w.log.String(), c.log)
			for _, text := range []string{w.log.String(), err.Error()} {
				require.NotContains(t, text, "s3cret")
				require.NotContains(t, text, "169.254")
			}
		})
	}
}

func redirecting(members map[string]any, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			writeJSON(w, members)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// Whatever the URL looks like, no connection is made to an address that is not allowed.
func TestNoConnectionToOtherAddresses(t *testing.T) {
	w := newWorld(t)
	keys := w.entry.JWKS
	s := w.serve()
	s.answer(metadata(nil, keys))
	port := strconv.Itoa(s.port())
	answerNames(t, map[string]string{"rebind.example.com.": "127.0.0.1", "metadata.example.com.": "169.254.169.254", "lan.example.com.": "10.0.0.1"})
	for name, c := range map[string]struct {
		host    string
		private bool
		log     string
	}{
		"loopback":                       {"127.0.0.1", false, "not allowed"},
		"all of 127/8":                   {"127.1.2.3", false, "not allowed"},
		"localhost":                      {"localhost", false, "not allowed"},
		"a name for a loopback address":  {"rebind.example.com", false, "not allowed"},
		"IPv6 loopback":                  {"[::1]", false, "not allowed"},
		"::ffff:":                        {"[::ffff:7f00:1]", false, "not allowed"},
		"0.0.0.0":                        {"0.0.0.0", false, "not allowed"},
		"::":                             {"[::]", false, "not allowed"},
		"decimal":                        {"2130706433", false, ""},
		"octal":                          {"0177.0.0.1", false, ""},
		"hexadecimal":                    {"0x7f000001", false, ""},
		"short":                          {"127.1", false, ""},
		"private":                        {"lan.example.com", false, "not allowed"},
		"a name for the metadata":        {"metadata.example.com", true, "not allowed"},
		"metadata, though Private":       {"169.254.169.254", true, "not allowed"},
		"AWS metadata, though Private":   {"[fd00:ec2::254]", true, "not allowed"},
		"6to4 of loopback, with Private": {"[2002:7f00:1::]", true, "not allowed"},
		"unspecified, though Private":    {"0.0.0.0", true, "not allowed"},
	} {
		t.Run("B17 "+name, func(t *testing.T) {
			w.log.Reset()
			s.conns.Store(0)
			w.entry.Private, w.entry.JWKSURL = c.private, "https://"+c.host+":"+port+"/jwks"
			require.ErrorIs(t, w.find(w.list()), store.ErrUnavailable)
			require.Zero(t, s.conns.Load())
			require.Contains(t, w.log.String(), c.log)
		})
	}
	t.Run("B17 a name for a loopback address, with Private", func(t *testing.T) {
		w.entry.Private, w.entry.JWKSURL = true, "https://rebind.example.com:"+port+"/jwks"
		require.NoError(t, w.find(w.list()))
	})
}

// answerNames makes the process ask a name server that has these names only.
func answerNames(t *testing.T, names map[string]string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before; _ = conn.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			_, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			var name strings.Builder
			at := 12
			for query[at] != 0 {
				name.Write(query[at+1 : at+1+int(query[at])])
				name.WriteByte('.')
				at += 1 + int(query[at])
			}
			question := query[12 : at+5]
			answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
			address, ok := names[name.String()]
			if !ok {
				answer[3] |= 3 // no such name
			} else if binary.BigEndian.Uint16(query[at+1:]) == 1 { // type A
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				answer = append(answer, netip.MustParseAddr(address).AsSlice()...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
}

func TestTLSIsRequired(t *testing.T) {
	w := newWorld(t)
	s := w.serve()
	w.entry.RootCAs = nil
	require.ErrorIs(t, w.find(w.list()), store.ErrUnavailable, "B17 a certificate of nobody")
	require.Zero(t, s.hits.Load())
	require.Contains(t, w.log.String(), "certificate")
}

func TestNoProxyAndNoCookies(t *testing.T) {
	require.Nil(t, trust.TransportOf(trust.Issuer{}).Proxy)
	w := newWorld(t)
	keys := w.entry.JWKS
	s := w.serve()
	cookies := 0
	s.answer(func(rw http.ResponseWriter, r *http.Request) {
		cookies += len(r.Cookies())
		http.SetCookie(rw, &http.Cookie{Name: "a", Value: "b"})
		metadata(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"}, keys)(rw, r)
	})
	l := w.list()
	require.NoError(t, w.find(l))
	w.clock.Advance(6 * time.Minute)
	w.claims["exp"] = seconds(3600)
	require.NoError(t, w.find(l))
	require.EqualValues(t, 4, s.hits.Load())
	require.Zero(t, cookies)
}

func TestInsecureLoopback(t *testing.T) {
	w := newWorld(t)
	keys := w.entry.JWKS
	var conns atomic.Int64
	plain := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { conns.Add(1); _, _ = rw.Write(keys) }))
	defer plain.Close()
	w.entry.JWKS, w.entry.JWKSURL = nil, plain.URL
	cfg := w.config()
	_, err := trust.New([]trust.Issuer{w.entry}, cfg)
	require.ErrorContains(t, err, "InsecureLoopback")
	cfg.InsecureLoopback = true
	l, err := trust.New([]trust.Issuer{w.entry}, cfg)
	require.NoError(t, err)
	require.NoError(t, w.find(l))
	t.Run("B17 it does not open loopback addresses to https", func(t *testing.T) {
		s := w.serve()
		w.entry.Private, w.entry.JWKSURL = false, s.URL
		l, err := trust.New([]trust.Issuer{w.entry}, cfg)
		require.NoError(t, err)
		require.ErrorIs(t, w.find(l), store.ErrUnavailable)
		require.Zero(t, s.conns.Load())
	})
	t.Run("B17 nor http to other hosts", func(t *testing.T) {
		w.entry.JWKSURL = "http://ci.example.com"
		_, err := trust.New([]trust.Issuer{w.entry}, cfg)
		require.ErrorContains(t, err, "JWKSURL: ")
	})
}
