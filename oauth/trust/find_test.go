package trust_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

func TestFind(t *testing.T) {
	w := newWorld(t)
	at, identity, err := find(t.Context(), w.list(), w.token(), []store.Trust{
		trusts("other", "project", "42"), trusts("ci", "project", "43"), w.trust, w.trust,
	})
	require.NoError(t, err)
	require.Equal(t, 2, at, "the first that matches")
	require.Equal(t, issuer, identity.Issuer)
	require.Equal(t, "job", identity.Subject)
	require.Equal(t, w.clock.Now().Add(10*time.Minute).UTC(), identity.Expires)
	require.Equal(t, "42", identity.Claims()["project_id"])
	require.Equal(t, json.Number("7"), identity.Claims()["n"])
	require.Equal(t, map[string]any{"account": map[string]any{"uid": "u-1"}}, identity.Claims()["kubernetes.io"])
	require.Empty(t, identity.OnceID)
}

// claim returns a change of one claim; nil removes it.
func claim(name string, value any) func(*world) {
	return func(w *world) {
		if w.claims[name] = value; value == nil {
			delete(w.claims, name)
		}
	}
}

// header is claim for a header parameter.
func header(name string, value any) func(*world) {
	return func(w *world) {
		if w.header[name] = value; value == nil {
			delete(w.header, name)
		}
	}
}

func wants(namesAndValues ...string) func(*world) {
	return func(w *world) { w.trust = trusts("ci", namesAndValues...) }
}

// seconds returns the time that many seconds from the start of the world.
func seconds(n int64) int64 { return 1_800_000_000 + n }

func TestFindAccepts(t *testing.T) {
	for name, change := range map[string]func(*world){
		"B34 aud as an array of ours alone":          claim("aud", []string{audience}),
		"B34 no typ":                                 header("typ", nil),
		"B34 typ in another case":                    header("typ", "jwt"),
		"B34 iat ahead by the skew":                  claim("iat", seconds(30)),
		"B34 nbf ahead by the skew":                  claim("nbf", seconds(30)),
		"B34 valid for as long as allowed":           claim("exp", seconds(3600)),
		"B34 the last second":                        claim("exp", seconds(1)),
		"B34 a nested claim":                         wants("uid", "u-1"),
		"B34 * for the last segment":                 wants("ref", "refs/heads/*"),
		"B34 * for several segments":                 func(w *world) { wants("ref", "refs/heads/*")(w); w.claims["ref"] = "refs/heads/a/b" },
		"B34 a value that must be named":             func(w *world) { wants("project", "42", "event", "fork")(w); w.claims["event"] = "fork" },
		"B34 the claim of Unless is not there":       claim("event", nil),
		"B34 a nested claim of Unless is not there":  func(w *world) { w.entry.Claims[2].Path = []string{"kubernetes.io", "account", "event"} },
		"B34 an escaped text":                        func(w *world) { w.claims["ref"] = "refs/heads/<\u00e9>"; wants("ref", "refs/heads/<\u00e9>")(w) },
		"B34 no jti is needed unless Once":           claim("jti", nil),
		"B34 other types":                            func(w *world) { w.entry.Types = []string{"identity+jwt"}; w.header["typ"] = "application/identity+jwt" },
		"B34 a longer lifetime if the entry says so": func(w *world) { w.entry.MaxLifetime = 24 * time.Hour; w.claims["exp"] = seconds(86400) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			_, _, err := find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
			require.NoError(t, err)
		})
	}
}

func TestFindRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		reason string
	}{
		"B34 issuer of another":            {claim("iss", issuer+".example"), "the key has no trust in its issuer that has not ended"},
		"B34 issuer in another case":       {claim("iss", strings.ToUpper(issuer)), "the key has no trust in its issuer that has not ended"},
		"B34 issuer with a slash":          {claim("iss", issuer+"/"), "the key has no trust in its issuer that has not ended"},
		"B34 no iss":                       {claim("iss", nil), "iss, sub, aud and exp are required"},
		"B34 no trust":                     {func(w *world) { w.trust = store.Trust{} }, "the key has no trust in its issuer that has not ended"},
		"B34 entry not in the list":        {func(w *world) { w.trust.Issuer = "old" }, "the key has no trust in its issuer that has not ended"},
		"B34 entry not trusted":            {func(w *world) { w.entry.Name = "not-named" }, "the key has no trust in its issuer that has not ended"},
		"B34 aud of another":               {claim("aud", "https://other.example.com"), "its aud"},
		"B34 aud with a slash":             {claim("aud", audience+"/"), "its aud"},
		"B34 aud of us and another":        {claim("aud", []string{audience, "https://other.example.com"}), "its aud"},
		"B34 aud of us twice":              {claim("aud", []string{audience, audience}), "its aud"},
		"B34 aud is empty":                 {claim("aud", []string{}), "aud"},
		"B34 no aud":                       {claim("aud", nil), "iss, sub, aud and exp are required"},
		"B34 exp past":                     {claim("exp", seconds(0)), "its exp is past"},
		"B34 no exp":                       {claim("exp", nil), "iss, sub, aud and exp are required"},
		"B34 exp is a text":                {claim("exp", "1800000600"), `claim "exp"`},
		"B34 no iat":                       {claim("iat", nil), "it has no iat"},
		"B34 iat in the future":            {claim("iat", seconds(31)), "its iat is in the future"},
		"B34 nbf":                          {claim("nbf", seconds(31)), "its nbf is in the future"},
		"B34 valid for too long":           {claim("exp", seconds(3601)), "it is valid for longer than the MaxLifetime of the entry"},
		"B34 valid for ever":               {claim("exp", 1e11), "it is valid for longer than the MaxLifetime of the entry"},
		"B34 no sub":                       {claim("sub", nil), "iss, sub, aud and exp are required"},
		"B34 empty sub":                    {claim("sub", ""), "iss, sub, aud and exp are required"},
		"B34 typ of an access token":       {header("typ", "at+jwt"), "it is an access token"},
		"B34 typ of an access token, long": {header("typ", "application/AT+JWT"), "it is an access token"},
		"B34 another typ":                  {header("typ", "logout+jwt"), "its typ is not accepted"},
		"B34 no typ if one is required":    {func(w *world) { w.entry.Types = []string{"JWT"}; delete(w.header, "typ") }, "its typ is not accepted"},
		"B34 no kid":                       {header("kid", nil), "it has no kid"},
		"B34 empty kid":                    {header("kid", ""), "it has no kid"},
		"B34 unknown kid":                  {header("kid", "k2"), "no key with its kid"},
		"B34 alg not of the entry":         {func(w *world) { w.entry.Algorithms = []string{"RS256"} }, "its alg is not accepted"},
		"B34 alg of another key":           {header("alg", "RS256"), "its signature does not match"},
		"B34 none":                         {header("alg", "none"), "alg is not one of the supported"},
		"B34 HS256":                        {header("alg", "HS256"), "its alg is not accepted"},
		"B34 a key of the token's own":     {header("jwk", map[string]any{}), "must not have this parameter"},
		"B34 a claim differs":              {claim("project_id", "43"), `its claim "project" differs`},
		"B34 a claim differs in case":      {claim("ref", "refs/heads/Main"), `its claim "ref" differs`},
		"B34 a claim differs by a space":   {claim("ref", "refs/heads/main "), `its claim "ref" differs`},
		"B34 a claim is longer":            {claim("ref", "refs/heads/main2"), `its claim "ref" differs`},
		"B34 a claim is not there":         {claim("ref", nil), `its claim "ref" differs`},
		"B34 a claim is a number":          {claim("project_id", 42), `its claim "project" differs`},
		"B34 a claim is an array":          {claim("project_id", []string{"42"}), `its claim "project" differs`},
		"B34 a claim is an object":         {claim("project_id", map[string]string{"": "42"}), `its claim "project" differs`},
		"B34 a claim is null":              {claim("project_id", nil), `its claim "project" differs`},
		"B34 a claim is true":              {func(w *world) { wants("project", "true")(w); w.claims["project_id"] = true }, `its claim "project" differs`},
		"B34 a claim in another case":      {func(w *world) { w.claims["Ref"] = w.claims["ref"]; delete(w.claims, "ref") }, `its claim "ref" differs`},
		"B34 a nested claim differs":       {wants("uid", "u-2"), `its claim "uid" differs`},
		"B34 a nested claim at the top":    {func(w *world) { wants("uid", "u-1")(w); w.claims["kubernetes.io"] = nil; w.claims["uid"] = "u-1" }, `its claim "uid" differs`},
		"B34 the path ends early":          {func(w *world) { wants("uid", "u-1")(w); w.claims["kubernetes.io"] = map[string]any{"account": "u-1"} }, `its claim "uid" differs`},
		"B34 a dotted name is not a path": {func(w *world) {
			wants("uid", "u-1")(w)
			w.claims["kubernetes.io.account.uid"] = "u-1"
			w.claims["kubernetes.io"] = map[string]any{}
		}, `its claim "uid" differs`},
		"B34 * for nothing":                    {func(w *world) { wants("ref", "refs/heads/*")(w); w.claims["ref"] = "refs/heads/" }, `its claim "ref" differs`},
		"B34 * is not of the part before":      {func(w *world) { wants("ref", "refs/heads/*")(w); w.claims["ref"] = "refs/heads" }, `its claim "ref" differs`},
		"B34 * for a part of a segment":        {wants("ref", "refs/heads/ma*"), `In the value of ref, "*"`},
		"B34 * behind too few segments":        {wants("ref", "refs/*"), `In the value of ref, "*"`},
		"B34 * behind empty segments":          {func(w *world) { wants("ref", "refs//*")(w); w.claims["ref"] = "refs//x" }, `In the value of ref, "*"`},
		"B34 * alone":                          {wants("ref", "*"), `In the value of ref, "*"`},
		"B34 * in the middle":                  {wants("ref", "refs/*/main"), `In the value of ref, "*"`},
		"B34 * of a claim without Prefix":      {func(w *world) { wants("project", "42/*")(w); w.claims["project_id"] = "42/1" }, `The value of project may not contain "*"`},
		"B34 one of two claims":                {wants("project", "42", "event", "tag"), `its claim "event" differs`},
		"B34 a value that must be named":       {claim("event", "fork"), `its claim "event" has a value that only a trust with this claim accepts`},
		"B34 another value that must be named": {claim("event", "comment"), `its claim "event" has a value`},
		"B34 Unless cannot be compared":        {claim("event", []string{"fork"}), `its claim "event" has a value`},
		"B34 a trust without claims":           {wants(), "the trust is not valid for this entry: Name 1 to 16 claims."},
		"B34 a claim that is not listed":       {wants("project", "42", "old", "x"), `ci has no claim that is called "old"`},
		"B34 an entry that is now Shared":      {func(w *world) { w.entry.Shared = true; wants("ref", "refs/heads/main")(w) }, "ci gives identities to everybody; name one of project"},
		"B34 Shared, and the id is a *": {func(w *world) {
			w.entry.Shared = true
			w.entry.Claims[0].Prefix = 1
			w.claims["project_id"] = "4/2"
			wants("project", "4/*")(w)
		}, "ci gives identities to everybody"},
		"B34 an id that is no longer one": {func(w *world) {
			w.entry.Shared = true
			w.entry.Claims[0].Immutable = false
			w.entry.Claims[3].Immutable = true
		}, "ci gives identities to everybody; name one of uid"},
		"B34 none of OneOf":              {func(w *world) { w.entry.OneOf = []string{"event", "uid"} }, "Name at least one of event, uid."},
		"B34 a claim twice":              {wants("project", "42", "project", "42"), "The claim project is named twice."},
		"B34 an empty value":             {func(w *world) { wants("ref", "")(w); w.claims["ref"] = "" }, "The value of ref must have 1 to 512"},
		"B34 more than 16 claims":        {func(w *world) { w.trust.Claims = append(w.trust.Claims, make([]store.Claim, 15)...) }, "Name 1 to 16 claims."},
		"B34 Unless of a number":         {claim("event", 7), `its claim "event" has a value`},
		"B34 Unless of null":             {func(w *world) { w.claims["event"] = json.RawMessage("null") }, `its claim "event" has a value`},
		"B34 Unless inside another type": {func(w *world) { w.entry.Claims[2].Path = []string{"n", "event"} }, `its claim "event" has a value`},
		"B34 no jti for Once":            {func(w *world) { w.entry.Once = true }, "its jti must have"},
		"B34 empty jti for Once":         {func(w *world) { w.entry.Once = true; w.claims["jti"] = "" }, "its jti must have"},
		"B34 long jti for Once":          {func(w *world) { w.entry.Once = true; w.claims["jti"] = strings.Repeat("j", 256) }, "its jti must have"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			token := w.token()
			_, identity, err := find(t.Context(), w.list(), token, []store.Trust{w.trust})
			require.ErrorIs(t, err, trust.ErrRefused)
			require.ErrorContains(t, err, c.reason)
			require.False(t, store.IsOutage(err))
			require.Equal(t, trust.Identity{}, identity)
			for _, part := range append(strings.Split(token, "."), "refs/heads", "u-1", "1800000", "comment") {
				require.NotContains(t, err.Error(), part)
			}
		})
	}
}

func TestFindRefusesOtherForms(t *testing.T) {
	w := newWorld(t)
	good := w.token()
	l := w.list()
	head, _, _ := strings.Cut(good, ".")
	last := good[len(good)-1:]
	for name, token := range map[string]string{
		"B34 empty":                        "",
		"B34 two parts":                    head + ".e30",
		"B34 encrypted JWT":                good + ".a.b",
		"B34 JSON serialization":           `{"payload":"e30","signatures":[]}`,
		"B34 a changed signature":          good[:len(good)-2] + strings.Map(func(r rune) rune { return r ^ 1 }, good[len(good)-2:len(good)-1]) + last,
		"B34 no signature":                 good[:strings.LastIndexByte(good, '.')+1],
		"B34 changed claims":               strings.Replace(good, ".", ".e30.", 1),
		"B34 longer than 8 KiB":            w.sign(`{"x":"` + strings.Repeat("x", 7000) + `"}`),
		"B34 nested JWT":                   w.sign(good),
		"B34 claims are an array":          w.sign(`[]`),
		"B34 a claim twice":                w.sign(`{"iss":"` + issuer + `","sub":"job","aud":"` + audience + `","iat":1800000000,"exp":1800000600,"project_id":"43","project_id":"42","ref":"refs/heads/main"}`),
		"B34 a registered claim in case":   w.sign(`{"iss":"` + issuer + `","sub":"job","aud":"` + audience + `","AUD":"x","iat":1800000000,"exp":1800000600,"project_id":"42","ref":"refs/heads/main"}`),
		"B34 signed by another's key":      newSigner(t, jose.ES256, "k1").sign(t, `{"alg":"ES256","kid":"k1"}`, `{"iss":"`+issuer+`","sub":"job","aud":"`+audience+`","iat":1800000000,"exp":1800000600,"project_id":"42","ref":"refs/heads/main"}`),
		"B34 an access token of this kind": newSigner(t, jose.ES256, "k1").sign(t, `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, `{"iss":"`+issuer+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := find(t.Context(), l, token, []store.Trust{w.trust})
			require.ErrorIs(t, err, trust.ErrRefused)
			require.Less(t, len(err.Error()), 200)
		})
	}
}

// Two clusters may have the same issuer. Each entry's keys are for its own trusts only.
func TestEachEntryHasItsOwnKeys(t *testing.T) {
	w := newWorld(t)
	other := newSigner(t, jose.ES256, "k2")
	second := w.entry
	second.Name, second.JWKS = "ci-2", keySet(t, other.public)
	l := w.list(second)
	w.header["kid"] = "k2"
	claims := `{"iss":"` + issuer + `","sub":"job","aud":"` + audience + `","iat":1800000000,"exp":1800000600,"project_id":"42","ref":"refs/heads/main"}`
	ofSecond := other.sign(t, `{"alg":"ES256","kid":"k2"}`, claims)
	for name, c := range map[string]struct {
		token  string
		trusts []store.Trust
		want   int
	}{
		"B34 the key of the other entry":            {ofSecond, []store.Trust{trusts("ci", "project", "42")}, -1},
		"B34 the second entry":                      {ofSecond, []store.Trust{trusts("ci-2", "project", "42")}, 0},
		"B34 both are tried":                        {ofSecond, []store.Trust{trusts("ci", "project", "42"), trusts("ci-2", "project", "42")}, 1},
		"B34 matches no trust of the right entry":   {ofSecond, []store.Trust{trusts("ci", "project", "42"), trusts("ci-2", "project", "43")}, -1},
		"B34 the kid of one and the key of another": {w.sign(claims), []store.Trust{trusts("ci", "project", "42"), trusts("ci-2", "project", "42")}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			at, _, err := find(t.Context(), l, c.token, c.trusts)
			if c.want < 0 {
				require.ErrorIs(t, err, trust.ErrRefused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, at)
		})
	}
}

func TestTheClosestReasonIsGiven(t *testing.T) {
	w := newWorld(t)
	l := w.list()
	for name, c := range map[string]struct {
		trusts []store.Trust
		reason string
		at     int
	}{
		"one trust":             {[]store.Trust{trusts("ci", "project", "42", "ref", "x", "event", "y")}, `"ref"`, 0},
		"the closest is first":  {[]store.Trust{trusts("ci", "project", "42", "ref", "x"), trusts("ci", "project", "1")}, `"ref"`, 0},
		"the closest is last":   {[]store.Trust{trusts("ci", "project", "1"), trusts("other"), trusts("ci", "project", "42", "ref", "x")}, `"ref"`, 2},
		"two are equally close": {[]store.Trust{trusts("ci", "project", "1"), trusts("ci", "ref", "1")}, `"project"`, 0},
		"none":                  {[]store.Trust{trusts("other", "project", "1")}, "has no trust", -1},
	} {
		t.Run(name, func(t *testing.T) {
			at, _, err := find(t.Context(), l, w.token(), c.trusts)
			require.ErrorIs(t, err, trust.ErrRefused)
			require.ErrorContains(t, err, c.reason)
			require.Equal(t, c.at, at)
		})
	}
}

// A number that Go cannot hold is still a claim: a policy that denies by it must see it.
func TestNumbersOfAnySizeAreClaims(t *testing.T) {
	w := newWorld(t)
	w.claims["n"] = json.RawMessage("1e999")
	_, identity, err := find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
	require.NoError(t, err)
	require.Equal(t, json.Number("1e999"), identity.Claims()["n"])
	require.Equal(t, "42", identity.Claims()["project_id"])
}

func TestOnce(t *testing.T) {
	w := newWorld(t)
	w.claims["jti"] = strings.Repeat("j", 255)
	_, identity, err := find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
	require.NoError(t, err)
	require.Empty(t, identity.OnceID, "replays are allowed")
	w.entry.Once = true
	_, identity, err = find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
	require.NoError(t, err)
	require.Equal(t, w.claims["jti"], identity.OnceID)
}

func TestAlgorithms(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t)
			w.signer = newSigner(t, alg, "k1")
			w.entry.JWKS, w.entry.Algorithms = keySet(t, w.signer.public), []string{string(alg)}
			w.header["alg"] = string(alg)
			_, _, err := find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
			require.NoError(t, err)
			w.entry.Algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}
			if alg == jose.RS256 {
				w.header["alg"] = "PS256" // a kid for one algorithm is not for another
			} else {
				w.header["alg"] = "RS256"
			}
			_, _, err = find(t.Context(), w.list(), w.token(), []store.Trust{w.trust})
			require.ErrorIs(t, err, trust.ErrRefused)
		})
	}
}

func TestNilListIsEmpty(t *testing.T) {
	empty, err := trust.New(nil, trust.Config{})
	require.NoError(t, err)
	w := newWorld(t)
	for name, l := range map[string]*trust.List{"nil": nil, "without entries": empty} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, l.Issuers())
			require.Equal(t, []string{"This service trusts no issuers."}, l.Check(w.trust))
			require.False(t, l.Names("github.abc"))
			require.True(t, l.Names("abc"))
			_, _, err := find(t.Context(), l, w.token(), []store.Trust{w.trust})
			require.ErrorIs(t, err, trust.ErrRefused)
			l.Run(t.Context())
		})
	}
}

func TestNames(t *testing.T) {
	l := newWorld(t).list()
	for id, want := range map[string]bool{"": true, "secret1": true, "ci": true, "ci.x": true, "ci.x.y": true, "c.x": false, ".x": false, "CI.x": false} {
		require.Equal(t, want, l.Names(id), id)
	}
}

func TestIssuers(t *testing.T) {
	w := newWorld(t)
	got := w.list().Issuers()
	require.Len(t, got, 1)
	require.Equal(t, "ci", got[0].Title)
	require.Equal(t, []string{"RS256", "ES256"}, got[0].Algorithms)
	require.Equal(t, []string{"JWT", ""}, got[0].Types)
	require.Equal(t, []string{"ref"}, got[0].Claims[1].Path)
	require.Equal(t, time.Hour, got[0].MaxLifetime)
	require.Equal(t, 24*time.Hour, got[0].MaxStale)
	require.Nil(t, w.entry.Claims[1].Path, "the host's own is not changed")
}
