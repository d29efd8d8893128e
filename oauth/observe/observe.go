// Package observe has the type of oauth.Config.Observer, a function of the host that
// is called each time a server has accepted or refused a credential. Use it for
// metrics, alerts or a log of logins.
package observe

import (
	"context"
	"net/netip"
	"time"
)

// Use is what a credential was presented for.
type Use string

// The uses. For Guard the credential is an access token, presented to a route of the
// host or to the management API. For Login, Introspection and Revocation it is an id and a
// secret, or an assertion. For all others it is a secret, with or without an id.
const (
	Login            Use = "login"
	Introspection    Use = "introspection"
	Revocation       Use = "revocation"        // of a token
	SecretRevocation Use = "secret_revocation" // of the secret that is presented
	LeakReport       Use = "leak_report"       // of a secret that a scanner found
	Guard            Use = "guard"
	Direct           Use = "direct" // a secret in place of a token, at a guard
)

// Observer is called after each decision about a credential, once, and before the response
// is sent. A secret in place of a token is one decision, with the use Direct. It is not called for a request that is refused for another reason before
// its credential is looked at, such as a login whose body cannot be read.
//
// It is called in the goroutine of the request, so it must be quick, and by several
// goroutines at once. ctx is the context of the request. A panic is not recovered:
// net/http ends the request, which gets no token and does not reach the route.
type Observer func(ctx context.Context, d Decision)

// Decision says that a credential was accepted or refused, and why. It never holds
// a secret, an assertion or a token.
type Decision struct {
	// Time is the time of the decision, by Config.Now.
	Time time.Time
	// Use is what the credential was presented for.
	Use Use
	// Reason says why the credential was refused. It is empty if the credential was
	// accepted; the request may still fail later, for example if the token cannot be
	// signed.
	//
	// For an id and a secret, or an assertion, the reasons are:
	//
	//	unknown_or_wrong  no key has the id, or the secret is wrong
	//	malformed_secret  the id, the secret or the assertion is malformed; no key was
	//	                  looked up
	//	assertion         the key exists, but its assertion was refused; the audit event
	//	                  (login.refused) and the log, at level Info, say why
	//	throttled         too many failed logins
	//	disabled          the credential is right, but the key is disabled
	//	expired           the credential is right, but the key has expired
	//	suspended         the credential is right, but the workspace is suspended
	//	keys_off          the credential is right, but all keys are switched off
	//	policy            a policy refused
	//	scope             the key lacks a permission, or the scope is malformed
	//	resource          the key may not request tokens for the resource
	//	direct            the key or the settings do not allow direct use
	//	cross_site        Basic credentials in a browser's request for another site's page
	//	unavailable       the store or a hook failed: nothing was decided
	//
	// For a token they are as below. A secret that was right, but not enough for the
	// route, has the reasons scope and workspace.
	//
	//	no_token          the request has none, and no secret
	//	malformed_token   the Authorization header is malformed, or there are several
	//	                  credentials
	//	invalid_token     it is no JWT, or its signature, issuer or audience is wrong
	//	expired           the token or its key has expired
	//	revoked           the token was revoked
	//	scope             it lacks a permission that the route requires
	//	workspace         it is for another workspace
	//	unavailable       the store, the key set or the issuer failed
	//	misconfigured     the guard was not made by this verifier
	Reason string
	// ClientID is the id that the client sent with a secret or an assertion, or the
	// subject of an assertion that came without one. It is empty for a direct
	// use that was accepted or that the guard itself refused. Anyone can send it: see
	// KeyID for the key whose credential was right. Characters that cannot be printed are
	// replaced by U+FFFD. ClientID is empty for a token. It is also empty if the client
	// may have sent a secret as the id. That is so if the id contains a prefix of
	// secrets. It is also so if no key has the id and either it is longer than 36 bytes
	// or apikey.Options.Imported is true, since an imported secret can have any form.
	ClientID string
	// KeyID and Workspace are those of the key. They are set only if its secret or
	// assertion was right, or if the signature of the token was right.
	KeyID     string
	Workspace string
	// CredentialID is the id of the credential that was right, or that the token was issued
	// for: of a secret, a public key or a trust. It is set only if KeyID is. The id of a
	// trust is the name of its entry in Config.TrustedIssuers, a dot and random text.
	CredentialID string
	// Address is the client's address. It is the zero Addr if it is not known, as in
	// bearer.Verifier.Authorize, and for tokens.
	Address netip.Addr
	// Method and Route are those of a guarded request: the HTTP method, and the
	// pattern that http.ServeMux matched. Route is empty with other routers. Both are
	// empty if the host passed only the token to a Verifier, as with Authorize.
	Method string
	Route  string
}
