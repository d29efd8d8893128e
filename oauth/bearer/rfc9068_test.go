package bearer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestPrincipal(t *testing.T) {
	w := newWorld(t)
	extra, err := jose.EncodeExtra(map[string]any{"tier": "gold", "seats": 3})
	require.NoError(t, err)
	raw := w.token(func(c *jose.Claims) { c.Extra = extra })
	p, err := w.verifier().Verify(context.Background(), raw)
	require.NoError(t, err)
	require.Equal(t, "key-1", p.KeyID)
	require.Equal(t, "team-a", p.Workspace)
	require.Equal(t, "secret-1", p.CredentialID)
	require.Equal(t, "token-1", p.TokenID)
	require.Equal(t, "project.list", p.Permissions.String())
	require.Equal(t, start, p.IssuedAt)
	require.Equal(t, start.Add(10*time.Minute), p.Expires)
	require.Equal(t, bearer.Token{
		Workspace: "team-a", KeyID: "key-1", CredentialID: "secret-1", TokenID: "token-1", Epochs: [3]int64{1, 2, 3},
		Expires: start.Add(10 * time.Minute), Raw: raw,
	}, w.epochs.seen)
	var tier string
	require.NoError(t, p.Claim("tier", &tier))
	require.Equal(t, "gold", tier)
	require.Error(t, p.Claim("seats", &tier))
	require.ErrorIs(t, p.Claim("missing", &tier), bearer.ErrNoClaim)
	require.ErrorIs(t, p.Claim("iss", &tier), bearer.ErrNoClaim)
	_, ok := bearer.PrincipalFrom(context.Background())
	require.False(t, ok)
}

func TestHeaderType(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	payload := claims()
	body := string(jose.AppendClaims(nil, &payload))
	tests := []struct {
		typ  string // a member with its comma, or nothing
		good bool
	}{
		{`,"typ":"at+jwt"`, true},
		{`,"typ":"application/at+jwt"`, true},
		{`,"typ":"AT+JWT"`, true},
		{`,"typ":"JWT"`, false},
		{`,"typ":"id+jwt"`, false},
		{`,"typ":"dpop+jwt"`, false},
		{`,"typ":""`, false},
		{`,"typ":null`, false},
		{`,"typ":["at+jwt"]`, false},
		{`,"typ":"at+jwt","typ":"at+jwt"`, false},
		{`,"Typ":"at+jwt"`, false},
		{``, false},
	}
	for _, test := range tests {
		t.Run("9068-06 "+test.typ, func(t *testing.T) {
			_, err := v.Verify(context.Background(), w.resign(`{"alg":"ES256","kid":"k1"`+test.typ+`}`, body))
			if test.good {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, bearer.ErrInvalid)
		})
	}
}

func TestClaimsAreChecked(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	change := func(c func(*jose.Claims)) string { return w.token(c) }
	// raw replaces one member of good claims.
	good := claims()
	body := string(jose.AppendClaims(nil, &good))
	raw := func(old, replacement string) string {
		t.Helper()
		require.Contains(t, body, old)
		return w.sign(strings.Replace(body, old, replacement, 1))
	}
	exp := fmt.Sprintf(`"exp":%d`, good.Expires)
	iat := fmt.Sprintf(`"iat":%d`, good.IssuedAt)
	tests := []struct {
		name  string
		token string
		want  error
	}{
		{"9068-07 good", change(func(*jose.Claims) {}), nil},
		{"9068-07 wrong iss", change(func(c *jose.Claims) { c.Issuer = "https://evil.example.com" }), bearer.ErrInvalid},
		{"9068-07 iss with a trailing slash", change(func(c *jose.Claims) { c.Issuer += "/" }), bearer.ErrInvalid},
		{"9068-07 iss in another case", change(func(c *jose.Claims) { c.Issuer = "https://API.example.com" }), bearer.ErrInvalid},
		{"9068-07 iss absent", change(func(c *jose.Claims) { c.Issuer = "" }), bearer.ErrInvalid},
		{"9068-07 wrong aud", change(func(c *jose.Claims) { c.Audience = []string{"https://other"} }), bearer.ErrInvalid},
		{"9068-07 aud array without us", change(func(c *jose.Claims) { c.Audience = []string{"a", "b"} }), bearer.ErrInvalid},
		{"9068-07 aud array with us", change(func(c *jose.Claims) { c.Audience = []string{"a", audience} }), nil},
		{"9068-07 aud absent", change(func(c *jose.Claims) { c.Audience = nil }), bearer.ErrInvalid},
		{"9068-07 aud empty array", raw(`"aud":"`+audience+`"`, `"aud":[]`), bearer.ErrInvalid},
		{"9068-07 aud null", raw(`"aud":"`+audience+`"`, `"aud":null`), bearer.ErrInvalid},
		{"9068-07 aud object", raw(`"aud":"`+audience+`"`, `"aud":{"`+audience+`":1}`), bearer.ErrInvalid},
		{"9068-07 aud of several kinds", raw(`"aud":"`+audience+`"`, `"aud":["`+audience+`",1]`), bearer.ErrInvalid},
		{"9068-07 exp absent", raw(exp+",", ``), bearer.ErrInvalid},
		{"9068-07 exp now", change(func(c *jose.Claims) { c.Expires = start.Unix() }), bearer.ErrExpired},
		{"9068-07 exp past", change(func(c *jose.Claims) { c.Expires = start.Unix() - 1 }), bearer.ErrExpired},
		{"9068-07 exp zero", raw(exp, `"exp":0`), bearer.ErrExpired},
		{"9068-07 exp as string", raw(exp, fmt.Sprintf(`"exp":"%d"`, good.Expires)), bearer.ErrInvalid},
		{"9068-07 exp null", raw(exp, `"exp":null`), bearer.ErrInvalid},
		{"9068-07 exp infinite", raw(exp, `"exp":1e999`), bearer.ErrInvalid},
		{"9068-07 exp beyond every calendar", raw(exp, `"exp":1e300`), bearer.ErrInvalid},
		{"9068-07 exp beyond 64 bits", raw(exp, `"exp":99999999999999999999`), bearer.ErrInvalid},
		{"9068-07 exp negative", raw(exp, `"exp":-1`), bearer.ErrInvalid},
		{"9068-07 exp with a fraction", raw(exp, exp+".5"), nil},
		{"9068-07 exp twice", raw(exp, exp+","+exp), bearer.ErrInvalid},
		{"9068-07 nbf future", change(func(c *jose.Claims) { c.NotBefore = start.Unix() + 61 }), bearer.ErrInvalid},
		{"9068-07 nbf as string", raw(exp, exp+`,"nbf":"1"`), bearer.ErrInvalid},
		{"9068-07 nbf past", change(func(c *jose.Claims) { c.NotBefore = start.Unix() - 1 }), nil},
		{"9068-02 sub absent", change(func(c *jose.Claims) { c.Subject = "" }), bearer.ErrInvalid},
		{"9068-02 client_id absent", change(func(c *jose.Claims) { c.ClientID = "" }), bearer.ErrInvalid},
		{"9068-02 jti absent", change(func(c *jose.Claims) { c.TokenID = "" }), bearer.ErrInvalid},
		{"9068-02 iat absent", raw(iat+",", ``), bearer.ErrInvalid},
		{"9068-02 iat as string", raw(iat, `"iat":"1"`), bearer.ErrInvalid},
		{"9068-03 scope malformed", change(func(c *jose.Claims) { c.Scope = "a  b" }), bearer.ErrInvalid},
		{"B21 admin_scope that is no scope", raw(`"scope":"project.list"`, `"scope":"project.list","admin_scope":"a  b"`), bearer.ErrInvalid},
		{"9068-03 scope as array", raw(`"scope":"project.list"`, `"scope":["project.list"]`), bearer.ErrInvalid},
		{"9068-03 scope absent", change(func(c *jose.Claims) { c.Scope = "" }), nil},
		{"workspace absent", change(func(c *jose.Claims) { c.Workspace = "" }), bearer.ErrInvalid},
		{"epochs as numbers with fractions", raw(`[1,2,3]`, `[1,2,3.5]`), bearer.ErrInvalid},
		{"epochs negative", raw(`[1,2,3]`, `[1,2,-3]`), bearer.ErrInvalid},
		{"epochs too many", raw(`[1,2,3]`, `[1,2,3,4]`), bearer.ErrInvalid},
		{"9449-07 bound to a key", raw(exp, exp+`,"cnf":{"jkt":"x"}`), bearer.ErrInvalid},
		{"B13 iss twice", raw(exp, exp+`,"iss":"`+issuer+`"`), bearer.ErrInvalid},
		{"B13 case variant", raw(exp, exp+`,"Workspace":"team-b"`), bearer.ErrInvalid},
		{"B13 Unicode case variant", raw(exp, exp+`,"\u017fcope":"admin.project.list"`), bearer.ErrInvalid},
		{"B13 twice, one escaped", raw(exp, exp+`,"\u0069ss":"x"`), bearer.ErrInvalid},
		{"B13 NUL in a name", raw(exp, exp+`,"workspace\u0000":"team-b"`), bearer.ErrInvalid},
		{"B13 unknown member is ignored", raw(exp, exp+`,"color":"red"`), nil},
		{"B13 trailing bytes", w.sign(body + "{}"), bearer.ErrInvalid},
		{"B13 byte order mark", w.sign("\ufeff" + body), bearer.ErrInvalid},
		{"B13 not UTF-8", raw("team-a", "team-\xff"), bearer.ErrInvalid},
		{"B13 too deep", raw(exp, exp+`,"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)), bearer.ErrInvalid},
		{"not an object", w.sign(`["iss"]`), bearer.ErrInvalid},
		{"empty", w.sign(``), bearer.ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := v.Verify(context.Background(), test.token)
			if test.want == nil {
				require.NoError(t, err)
				require.Equal(t, "team-a", p.Workspace)
				return
			}
			require.ErrorIs(t, err, test.want)
			require.Nil(t, p)
		})
	}
}

func TestClocks(t *testing.T) {
	expires := claims().Expires
	at := func(leeway, offset time.Duration, from int64, changes ...func(*jose.Claims)) error {
		w := newWorld(t)
		w.config.Leeway = leeway
		w.clock.Set(time.Unix(from, 0).Add(offset))
		v := w.verifier()
		token := w.token(changes...)
		_, err := v.Verify(context.Background(), token)
		_, again := v.Verify(context.Background(), token)
		require.Equal(t, err, again, "a token seen before is answered alike")
		return err
	}
	minute := time.Minute
	t.Run("B08 expired 59 s ago with leeway 60 s", func(t *testing.T) {
		require.NoError(t, at(minute, 59*time.Second, expires))
	})
	t.Run("B08 expired 60 s ago with leeway 60 s", func(t *testing.T) {
		require.ErrorIs(t, at(minute, minute, expires), bearer.ErrExpired)
	})
	t.Run("B08 expired 61 s ago with leeway 60 s", func(t *testing.T) {
		require.ErrorIs(t, at(minute, 61*time.Second, expires), bearer.ErrExpired)
	})
	t.Run("B08 no leeway is exact", func(t *testing.T) {
		require.NoError(t, at(0, -time.Nanosecond, expires))
		require.ErrorIs(t, at(0, 0, expires), bearer.ErrExpired)
	})
	for _, leeway := range []time.Duration{0, minute} {
		t.Run(fmt.Sprintf("B08 iat and nbf ahead with leeway %v", leeway), func(t *testing.T) {
			nbf := func(c *jose.Claims) { c.NotBefore = c.IssuedAt; c.IssuedAt -= 3600 }
			for _, changes := range [][]func(*jose.Claims){nil, {nbf}} {
				require.NoError(t, at(leeway, -59*time.Second, start.Unix(), changes...))
				require.NoError(t, at(leeway, -60*time.Second, start.Unix(), changes...))
				require.ErrorIs(t, at(leeway, -61*time.Second, start.Unix(), changes...), bearer.ErrInvalid)
			}
		})
	}
	t.Run("B08 a longer leeway holds for iat too", func(t *testing.T) {
		require.NoError(t, at(5*minute, -299*time.Second, start.Unix()))
		require.ErrorIs(t, at(5*minute, -301*time.Second, start.Unix()), bearer.ErrInvalid)
	})
	t.Run("B08 leeway never applies to a revoked token", func(t *testing.T) {
		w := newWorld(t)
		w.config.Leeway = 5 * minute
		v := w.verifier()
		token := w.token()
		_, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		w.epochs.raise(4)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrRevoked)
	})
	t.Run("B08 leeway does not apply to the expiry of the key", func(t *testing.T) {
		w := newWorld(t)
		w.config.Leeway = 5 * minute
		v := w.verifier()
		token := w.token(func(c *jose.Claims) { c.KeyExpires = c.Expires + 60 })
		w.wait(11*minute - time.Nanosecond)
		_, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		w.wait(time.Nanosecond)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrExpired)
		_, err = v.Verify(context.Background(), w.token(func(c *jose.Claims) { c.KeyExpires = c.Expires + 60 }))
		require.ErrorIs(t, err, bearer.ErrExpired)
	})
	t.Run("B08 the clock jumps back to before the issue of a cached token", func(t *testing.T) {
		w := newWorld(t)
		v := w.verifier()
		token := w.token()
		_, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		w.wait(-time.Hour)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		w.wait(2 * time.Hour)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrExpired)
	})
}

func TestNewNamesEveryField(t *testing.T) {
	_, err := bearer.New(bearer.Config{Leeway: -1, CacheEntries: 1 << 30, Realm: "\n", ResourceMetadata: "/relative"})
	for _, field := range []string{"Issuer", "Audiences", "Keys", "Leeway", "CacheEntries", "Realm", "ResourceMetadata"} {
		require.ErrorContains(t, err, field+": ")
	}
	w := newWorld(t)
	w.config.Leeway = bearer.MaxLeeway + 1
	_, err = bearer.New(w.config)
	require.ErrorContains(t, err, "Leeway")
	w.config.Leeway, w.config.Audiences = 0, []string{"a", ""}
	_, err = bearer.New(w.config)
	require.ErrorContains(t, err, "Audiences")
}

func TestEpochsAreOptional(t *testing.T) {
	w := newWorld(t)
	w.config.Epochs = nil
	_, err := w.verifier().Verify(context.Background(), w.token())
	require.NoError(t, err)
}

// TestAdminPermissionsAreGrantedAsSuch: a permission that became an admin
// permission after the token was issued is dropped.
func TestAdminPermissionsAreGrantedAsSuch(t *testing.T) {
	w := newWorld(t)
	granted := w.token(func(c *jose.Claims) { c.Scope = "admin.project.list project.list" })
	p, err := w.verifier().Verify(t.Context(), granted)
	require.NoError(t, err)
	require.Equal(t, "admin.project.list project.list", p.Permissions.String())
	c := claims()
	c.Scope = "admin.project.list project.list"
	p, err = w.verifier().Verify(t.Context(), w.sign(string(jose.AppendClaims(nil, &c))))
	require.NoError(t, err)
	require.Equal(t, "project.list", p.Permissions.String(), "B21")
}

func TestWhatAHostChangesLater(t *testing.T) {
	w := newWorld(t)
	w.config.Audiences = []string{audience}
	v := w.verifier()
	w.config.Audiences[0] = "https://other.example.com"
	_, err := v.Verify(t.Context(), w.token())
	require.NoError(t, err)
	require.ErrorIs(t, new(bearer.Principal).Claim("tier", new(string)), bearer.ErrNoClaim, "a Principal without claims")
}
