package jose_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

func fullClaims() jose.Claims {
	return jose.Claims{
		Issuer: "https://api.example.com", Subject: "key-1", Audience: []string{"a", "b"}, ClientID: "key-1",
		Scope: "project.list", AdminScope: "project.list", TokenID: "t", Expires: 1772366400, IssuedAt: 1772365800, NotBefore: 1772365799,
		Workspace: "team \"a\"\\\n\u2028é\U0001F600", CredentialID: "s", Epochs: [3]int64{1, 0, math.MaxInt64},
		Extra: []strictjson.Member{{Name: "tier", Value: json.RawMessage(`"gold"`)}},
	}
}

func TestClaimsAreWritten(t *testing.T) {
	c := fullClaims()
	c.Workspace = "team-a"
	require.Equal(t, `prefix{"iss":"https://api.example.com","sub":"key-1","aud":["a","b"],"client_id":"key-1","scope":"project.list","admin_scope":"project.list",`+
		`"exp":1772366400,"iat":1772365800,"nbf":1772365799,"jti":"t","workspace":"team-a","credential_id":"s","epochs":[1,0,9223372036854775807],"tier":"gold"}`,
		string(jose.AppendClaims([]byte("prefix"), &c)))
	c.Audience = c.Audience[:1]
	require.Contains(t, string(jose.AppendClaims(nil, &c)), `"aud":"a",`)
	require.Equal(t, `{"exp":0,"iat":0,"epochs":[0,0,0]}`, string(jose.AppendClaims(nil, &jose.Claims{})))
	require.Zero(t, testing.AllocsPerRun(50, func() { jose.AppendClaims(make([]byte, 0, 1024), &c) }))
}

func TestClaimsAreReadBack(t *testing.T) {
	c := fullClaims()
	read, err := jose.ParseClaims(jose.AppendClaims(nil, &c))
	require.NoError(t, err)
	require.Equal(t, c, read)
}

// Whole seconds are exact; a fraction shortens the token's life.
func TestFractionsOfSeconds(t *testing.T) {
	read, err := jose.ParseClaims([]byte(`{"exp":10.9,"iat":1.1,"nbf":2.000001}`))
	require.NoError(t, err)
	require.Equal(t, int64(10), read.Expires)
	require.Equal(t, int64(2), read.IssuedAt)
	require.Equal(t, int64(3), read.NotBefore)
	read, err = jose.ParseClaims([]byte(`{"exp":1e3,"iat":253402300799}`))
	require.NoError(t, err)
	require.Equal(t, int64(1000), read.Expires)
	require.Equal(t, int64(253402300799), read.IssuedAt)
	read, err = jose.ParseClaims([]byte(`{"exp":10,"iat":1,"key_exp":9.9}`))
	require.NoError(t, err)
	require.Equal(t, int64(9), read.KeyExpires)
}

func TestClaimsRefused(t *testing.T) {
	for name, claims := range map[string]string{
		"9068-07 no exp":                       `{"iat":1}`,
		"9068-07 no iat":                       `{"exp":1}`,
		"9068-07 exp as text":                  `{"iat":1,"exp":"10"}`,
		"9068-07 nbf as text":                  `{"iat":1,"exp":1,"nbf":"10"}`,
		"9068-07 nbf null":                     `{"iat":1,"exp":1,"nbf":null}`,
		"9068-07 exp before 1970":              `{"iat":1,"exp":-1}`,
		"9068-07 exp after the year 9999":      `{"iat":1,"exp":253402300800}`,
		"9068-07 exp beyond every number":      `{"iat":1,"exp":1e400}`,
		"9068-07 key_exp as text":              `{"iat":1,"exp":1,"key_exp":"10"}`,
		"two epochs":                           `{"iat":1,"exp":1,"epochs":[1,2]}`,
		"four epochs":                          `{"iat":1,"exp":1,"epochs":[1,2,3,4]}`,
		"an epoch below 0":                     `{"iat":1,"exp":1,"epochs":[1,-2,3]}`,
		"an epoch of a float":                  `{"iat":1,"exp":1,"epochs":[1,2.0,3]}`,
		"an epoch of 64 bits":                  `{"iat":1,"exp":1,"epochs":[1,2,9223372036854775808]}`,
		"epochs null":                          `{"iat":1,"exp":1,"epochs":null}`,
		"aud of no element":                    `{"iat":1,"exp":1,"aud":[]}`,
		"aud with a number":                    `{"iat":1,"exp":1,"aud":["a",1]}`,
		"a token bound to a key":               `{"iat":1,"exp":1,"cnf":{}}`,
		"B13 a claim twice":                    `{"iat":1,"exp":1,"exp":2}`,
		"B13 a claim in another case":          `{"iat":1,"exp":1,"Exp":2}`,
		"B13 a claim twice in one of the host": `{"iat":1,"exp":1,"x":{"a":1,"a":2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jose.ParseClaims([]byte(claims))
			require.Error(t, err)
		})
	}
}

func TestEncodeExtra(t *testing.T) {
	members, err := jose.EncodeExtra(map[string]any{"b": []int{1}, "a": "x<y"})
	require.NoError(t, err)
	require.Equal(t, "a", members[0].Name)
	require.Equal(t, `[1]`, string(members[1].Value))
	none, err := jose.EncodeExtra(nil)
	require.NoError(t, err)
	require.Nil(t, none)

	refused := []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "workspace", "credential_id", "epochs", "cnf", "act",
		"ISS", "Exp", "ſub", "Client_ID", "", "a\x00", "\xff", strings.Repeat("a", 65),
	}
	for _, name := range refused {
		t.Run(fmt.Sprintf("B21 name %q", name), func(t *testing.T) {
			_, err := jose.EncodeExtra(map[string]any{name: 1, "fine": 1})
			require.ErrorContains(t, err, "claim")
		})
	}
	for name, value := range map[string]any{
		"function": func() {}, "infinity": math.Inf(1), "duplicate": json.RawMessage(`{"a":1,"a":2}`),
		"too deep":    json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40)),
		"not UTF-8":   json.RawMessage("\"\xff\""),
		"not JSON":    json.RawMessage(`{`),
		"two members": json.RawMessage(`1,"iss":"x"`),
	} {
		t.Run("value: "+name, func(t *testing.T) {
			_, err := jose.EncodeExtra(map[string]any{"x": value})
			require.ErrorContains(t, err, `claim "x"`)
		})
	}
}

// FuzzClaims: ParseClaims returns what AppendClaims wrote, and encoding/json reads the same.
func FuzzClaims(f *testing.F) {
	f.Add("iss", "sub", "aud", "", "id", "a b", "jti", "team", "secret", int64(2), int64(1), int64(0), int64(5), "tier", "gold")
	f.Add("\u2028", "\"", "\\", "é", "\x00", "\x1f", "\x7f", "\U0001F600", "<&>", int64(253402300799), int64(0), int64(7), int64(0), "n", "\n")
	f.Fuzz(func(t *testing.T, issuer, subject, a1, a2, client, scope, id, workspace, secret string, exp, iat, nbf, epoch int64, name, value string) {
		c := jose.Claims{
			Issuer: issuer, Subject: subject, ClientID: client, Scope: scope, TokenID: id,
			Expires: exp, IssuedAt: iat, NotBefore: nbf, Workspace: workspace, CredentialID: secret, Epochs: [3]int64{epoch, 0, epoch},
		}
		if a1 != "" {
			c.Audience = append(c.Audience, a1)
		}
		if a2 != "" {
			c.Audience = append(c.Audience, a2)
		}
		for _, text := range []string{issuer, subject, a1, a2, client, scope, id, workspace, secret, value} {
			if !utf8.ValidString(text) {
				return
			}
		}
		extra, err := jose.EncodeExtra(map[string]any{name: value})
		if err == nil {
			c.Extra = extra
		}
		written := jose.AppendClaims(nil, &c)
		var theirs map[string]any
		if err := json.Unmarshal(written, &theirs); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if workspace != "" && theirs["workspace"] != workspace {
			t.Fatalf("encoding/json reads %q instead of %q", theirs["workspace"], workspace)
		}
		read, err := jose.ParseClaims(written)
		bounded := func(n int64) bool { return n >= 0 && n <= 253402300799 }
		if good := bounded(exp) && bounded(iat) && bounded(nbf) && epoch >= 0; good != (err == nil) {
			t.Fatalf("%s: %v", written, err)
		}
		if err == nil && !reflect.DeepEqual(c, read) {
			t.Fatalf("%+v\n%+v", c, read)
		}
	})
}

// FuzzParseClaims: accepted claims stay the same when they are written and read again.
func FuzzParseClaims(f *testing.F) {
	c := fullClaims()
	f.Add(jose.AppendClaims(nil, &c))
	f.Add([]byte(`{"exp":1.5,"iat":1,"aud":[],"x":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := jose.ParseClaims(data)
		if err != nil {
			return
		}
		if len(first.Audience) == 1 && first.Audience[0] == "" {
			return // equal to an absent claim, and refused by verifiers
		}
		second, err := jose.ParseClaims(jose.AppendClaims(nil, &first))
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%v\n%+v\n%+v", err, first, second)
		}
	})
}
