package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A server trusts the service accounts of a cluster that it cannot reach, so it has the
// cluster's keys in its configuration.
func Example() {
	// In production: kubectl get --raw /openid/v1/jwks
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	jwk, err := assertion.PublicJWK(key.Public())
	if err != nil {
		log.Fatal(err)
	}
	cluster := trust.Kubernetes("prod", "https://kubernetes.default.svc.cluster.local")
	cluster.JWKS = []byte(`{"keys":[` + jwk + `]}`)

	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", TrustedIssuers: []trust.Issuer{cluster, trust.GitHubActions()}, Logger: slog.New(slog.DiscardHandler),
		Permissions: scope.MustCatalog(scope.Group{Title: "Deploy", Permissions: []scope.Permission{{Name: "deploy"}}}),
	})
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(server.Token())
	defer web.Close()

	// What an administrator gives to a key.
	create := func(t store.Trust) (apikey.Key, error) {
		made, _, err := server.APIKeys().Create(context.Background(), apikey.OrganizationAdmin("operator"), apikey.Spec{
			Workspace: "team-a", Name: "deploy", Permissions: scope.MustParse("deploy"), NoSecret: true,
			Credentials: []apikey.CredentialSpec{{Name: "deployer", Trust: &t}},
		})
		return made, err
	}
	_, err = create(store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "ref", Value: "refs/heads/main"}}})
	fmt.Println(err)
	made, err := create(store.Trust{Issuer: "prod", Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:shop:deployer"}}})
	if err != nil {
		log.Fatal(err)
	}

	// What a pod of a service account sends, which reads its identity from a file.
	login := func(account string) error {
		identity := func(context.Context) (string, error) {
			token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
				"iss": cluster.Issuer, "sub": "system:serviceaccount:shop:" + account, "aud": []string{"https://api.example.com"},
				"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
			})
			var public struct {
				ID string `json:"kid"`
			}
			if err := json.Unmarshal([]byte(jwk), &public); err != nil {
				return "", err
			}
			token.Header["kid"] = public.ID
			return token.SignedString(key)
		}
		_, err := assertion.TokenSource(context.Background(), assertion.Config{TokenURL: web.URL, ClientID: made.ID, Assertion: identity}).Token()
		return err
	}
	fmt.Println(login("deployer"))
	fmt.Println(login("builder"))
	// Output:
	// apikey: trusts[0].claims: GitHub Actions gives identities to everybody; name one of repository_id, repository_owner_id, without "*", because names can be taken over by others and ids cannot.
	// <nil>
	// assertion: login: oauth2: "invalid_client" "The client id, the secret or the assertion is wrong."
}
