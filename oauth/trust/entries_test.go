package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
)

func TestNewRefuses(t *testing.T) {
	remote := func(address string) func(*trust.Issuer) {
		return func(i *trust.Issuer) { i.JWKS, i.JWKSURL = nil, address }
	}
	discovery := func(issuer string) func(*trust.Issuer) {
		return func(i *trust.Issuer) { i.JWKS, i.Issuer = nil, issuer }
	}
	for name, c := range map[string]struct {
		change func(*trust.Issuer)
		want   string
	}{
		"no name":                    {func(i *trust.Issuer) { i.Name = "" }, "TrustedIssuers[0].Name: must have 1 to 32"},
		"name with a dot":            {func(i *trust.Issuer) { i.Name = "a.b" }, "TrustedIssuers[0].Name"},
		"name in capitals":           {func(i *trust.Issuer) { i.Name = "A" }, "TrustedIssuers[0].Name"},
		"name of 33 bytes":           {func(i *trust.Issuer) { i.Name = strings.Repeat("a", 33) }, "TrustedIssuers[0].Name"},
		"no issuer":                  {func(i *trust.Issuer) { i.Issuer = "" }, "TrustedIssuers[0].Issuer"},
		"JWKS without keys":          {func(i *trust.Issuer) { i.JWKS = []byte(`{"keys":[]}`) }, "TrustedIssuers[0].JWKS: "},
		"empty JWKS":                 {func(i *trust.Issuer) { i.JWKS = []byte{} }, "TrustedIssuers[0].JWKS: "},
		"B17 http":                   {remote("http://ci.example.com/jwks"), "TrustedIssuers[0].JWKSURL: "},
		"B17 http of this host":      {remote("http://127.0.0.1:8080/jwks"), "TrustedIssuers[0].JWKSURL: "},
		"B17 another port":           {remote("https://ci.example.com:8443/jwks"), "TrustedIssuers[0].JWKSURL: its port is not in Ports"},
		"B17 user name":              {remote("https://me@ci.example.com/jwks"), "TrustedIssuers[0].JWKSURL: "},
		"B17 discovery over http":    {discovery("http://ci.example.com"), "TrustedIssuers[0].Issuer: "},
		"B17 discovery without URL":  {discovery("kubernetes/serviceaccount"), "TrustedIssuers[0].Issuer: "},
		"B17 discovery, bad URL":     {discovery("https://ci.example.com:x"), "TrustedIssuers[0].Issuer: is not a URL"},
		"B17 discovery, other port":  {discovery("https://ci.example.com:6443"), "TrustedIssuers[0].Issuer: its port is not in Ports"},
		"B17 discovery with a query": {discovery("https://ci.example.com?a=b"), "Issuer: must not have a query"},
		"MaxStale too short":         {func(i *trust.Issuer) { i.JWKS, i.MaxStale = nil, 5*time.Minute-1 }, "TrustedIssuers[0].Issuer: bearer: remote keys: MaxStale: is 4m59.999999999s, must be 5m0s to 720h0m0s"},
		"MaxStale too long":          {func(i *trust.Issuer) { i.JWKS, i.MaxStale = nil, 720*time.Hour+1 }, "MaxStale: is 720h0m0.000000001s"},
		"B34 HS256":                  {func(i *trust.Issuer) { i.Algorithms = []string{"HS256"} }, "TrustedIssuers[0].Algorithms"},
		"B34 none":                   {func(i *trust.Issuer) { i.Algorithms = []string{"none"} }, "TrustedIssuers[0].Algorithms"},
		"MaxLifetime too short":      {func(i *trust.Issuer) { i.MaxLifetime = time.Minute - 1 }, "TrustedIssuers[0].MaxLifetime: must be 1 minute"},
		"MaxLifetime too long":       {func(i *trust.Issuer) { i.MaxLifetime = 8784*time.Hour + 1 }, "TrustedIssuers[0].MaxLifetime"},
		"no claims":                  {func(i *trust.Issuer) { i.Claims = nil }, "TrustedIssuers[0].Claims: is empty"},
		"claim without a name":       {func(i *trust.Issuer) { i.Claims[1].Name = "" }, "TrustedIssuers[0].Claims[1].Name: is used twice, or has not 1 to 64 printable bytes"},
		"claim of 65 bytes":          {func(i *trust.Issuer) { i.Claims[1].Name = strings.Repeat("a", 65) }, "TrustedIssuers[0].Claims[1].Name: "},
		"claim of two lines":         {func(i *trust.Issuer) { i.Claims[1].Name = "a\nb" }, "TrustedIssuers[0].Claims[1].Name: "},
		"claim twice":                {func(i *trust.Issuer) { i.Claims[1].Name = "project" }, "TrustedIssuers[0].Claims[1].Name: is used twice"},
		"B34 shared without an id": {func(i *trust.Issuer) {
			i.Shared = true
			i.Claims[0].Immutable = false
		}, "TrustedIssuers[0].Claims: one must be Immutable"},
		"OneOf of another": {func(i *trust.Issuer) { i.OneOf = []string{"ref", "x"} }, "TrustedIssuers[0].OneOf"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(&w.entry)
			_, err := trust.New([]trust.Issuer{w.entry}, w.config())
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNewJoinsProblems(t *testing.T) {
	w := newWorld(t)
	second := w.entry
	second.Claims, second.MaxLifetime = nil, time.Second
	_, err := trust.New([]trust.Issuer{w.entry, second}, trust.Config{})
	for _, want := range []string{"Audience: is empty", "TrustedIssuers[1].Name: is used twice", "TrustedIssuers[1].Claims: ", "TrustedIssuers[1].MaxLifetime: "} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "[0]")
}

func TestNewAccepts(t *testing.T) {
	for name, change := range map[string]func(*trust.Issuer){
		"discovery": func(i *trust.Issuer) { i.JWKS = nil },
		"a URL":     func(i *trust.Issuer) { i.JWKS, i.JWKSURL = nil, "https://keys.example.com/jwks?v=1" },
		"a port": func(i *trust.Issuer) {
			i.JWKS, i.JWKSURL, i.Ports = nil, "https://keys.example.com:6443/jwks", []int{6443}
		},
		"an issuer that is no URL":    func(i *trust.Issuer) { i.Issuer = "kubernetes/serviceaccount" },
		"the bounds":                  func(i *trust.Issuer) { i.MaxStale, i.MaxLifetime = 720*time.Hour, 8784*time.Hour },
		"the other bounds":            func(i *trust.Issuer) { i.MaxStale, i.MaxLifetime = 5*time.Minute, time.Minute },
		"all algorithms":              func(i *trust.Issuer) { i.Algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"} },
		"B34 shared with an id":       func(i *trust.Issuer) { i.Shared, i.OneOf = true, []string{"ref"} },
		"names as long as allowed":    func(i *trust.Issuer) { i.Name, i.Claims[0].Name = strings.Repeat("a", 32), strings.Repeat("a", 64) },
		"a key that is not supported": func(i *trust.Issuer) { i.JWKS = withUnsupportedKeys(t, i.JWKS) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(&w.entry)
			w.list()
		})
	}
}

// withUnsupportedKeys adds keys to a set that are not for this package.
func withUnsupportedKeys(t testing.TB, set []byte) []byte {
	t.Helper()
	const more = `{"keys":[{"kty":"EC","crv":"P-384","alg":"ES384","use":"sig","kid":"k384","x":"AA","y":"AA"},` +
		`{"kty":"RSA","use":"enc","kid":"enc","n":"AA","e":"AQAB"},{"kty":"oct-like","kid":"new"},{"kty":"RSA","n":"AA","e":"AQAB"},`
	require.Equal(t, `{"keys":[`, string(set[:9]))
	_, err := jose.ParseKeySet([]byte(more + string(set[9:])))
	require.NoError(t, err)
	return []byte(more + string(set[9:]))
}
