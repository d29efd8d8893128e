package trust_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// A server trusts the service accounts of a cluster that it cannot reach, so it has the
// cluster's keys in its configuration. oauth.Config.TrustedIssuers does what New does here.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	// In production: kubectl get --raw /openid/v1/jwks
	jwks, err := jose.MarshalKeySet([]jose.PublicKey{{ID: "k1", Algorithm: jose.ES256, Key: key.Public()}})
	if err != nil {
		log.Fatal(err)
	}

	cluster := trust.Kubernetes("prod", "https://kubernetes.default.svc.cluster.local")
	cluster.JWKS = jwks
	list, err := trust.New([]trust.Issuer{cluster, trust.GitHubActions()}, trust.Config{Audience: "https://api.example.com"})
	if err != nil {
		log.Fatal(err)
	}

	// What an administrator gives to a key.
	deployer := store.Trust{Issuer: "prod", Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:shop:deployer"}}}
	fmt.Println(list.Check(deployer))
	fmt.Println(list.Check(store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "ref", Value: "refs/heads/main"}}}))

	// What a pod sends.
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": cluster.Issuer, "sub": "system:serviceaccount:shop:deployer", "aud": []string{"https://api.example.com"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "k1"
	identity, err := token.SignedString(key)
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := jose.ParseAssertion(identity)
	if err != nil {
		log.Fatal(err)
	}
	at, found, err := list.Find(context.Background(), parsed, []store.Trust{deployer})
	fmt.Println(at, found.Subject, err)

	other := store.Trust{Issuer: "prod", Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:shop:builder"}}}
	_, _, err = list.Find(context.Background(), parsed, []store.Trust{other})
	fmt.Println(err)
	// Output:
	// []
	// [GitHub Actions gives identities to everybody; name one of repository_id, repository_owner_id, without "*", because names can be taken over by others and ids cannot.]
	// 0 system:serviceaccount:shop:deployer <nil>
	// trust: the identity is refused: its claim "sub" differs
}
