// Package observe has what a host is told about credentials: one Decision for each
// time that a server accepted or refused one.
package observe

import (
	"context"
	"net/netip"
	"time"
)

// Use is what a credential was presented for.
type Use string

// The uses. All but Guard present a key's id and secret. Guard presents an access
// token, to a route of the host or to the management API.
const (
	Login         Use = "login"
	Introspection Use = "introspection"
	Revocation    Use = "revocation"        // of a token
	SecretReport  Use = "secret_revocation" // of the secret that was presented
	Guard         Use = "guard"
)

// Observer is called after each decision about a credential, and before the
// response is sent. A request that is refused before its credential is looked at,
// such as one in the wrong form, is not observed.
//
// It is called by the goroutine of the request, so it must be quick, and by several
// goroutines at once. ctx is the request's. A panic is not recovered here: net/http
// ends the request, and nothing is granted to it.
type Observer func(ctx context.Context, d Decision)

// Decision says that a credential was accepted or refused, and why. It never holds
// a secret or a token.
type Decision struct {
	Time time.Time
	Use  Use
	// Reason is empty if the credential was accepted. A later step may still fail,
	// such as a login whose token cannot be signed.
	//
	// For ids and secrets it is "unknown_or_wrong", "malformed_secret",
	// "throttled", "disabled", "expired", "suspended", "keys_off", "policy",
	// "scope", "resource" or "unavailable". For tokens it is "no_token",
	// "malformed_token", "invalid_token", "expired", "revoked", "scope",
	// "workspace", "unavailable" or "misconfigured" (a guard of another verifier).
	Reason string
	// ClientID is the id that was presented with a secret. The client is not
	// known to be that key, see KeyID. If no key has the id, ClientID is at most 36
	// characters of it, with U+FFFD for each that cannot be printed. It is empty
	// if it may be a secret in the wrong place: if it contains a prefix of secrets,
	// or if no key has it and imported secrets are accepted, which can have any
	// form.
	ClientID string
	// KeyID and Workspace are the key's. They are set only if its secret was right,
	// or if the token's signature was.
	KeyID     string
	Workspace string
	// Address is the client's. The zero Addr means unknown, as for tokens.
	Address netip.Addr
	// Method and Route are of a guarded request: its HTTP method, and the pattern
	// that http.ServeMux matched. Other routers set no pattern. Both are empty for
	// a token that was passed to a Verifier without its request.
	Method string
	Route  string
}
