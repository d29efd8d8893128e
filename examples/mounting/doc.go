// Package mounting shows Latchkey on chi, Gin and Echo. It is all tests: read
// onChi, onGin and onEcho for how to mount the routes and guard your own.
//
// # The client's address
//
// Limits of failed logins and rules by address use the address in RemoteAddr,
// which net/http sets with a port and adaptors such as AWS Lambda's set without.
// Behind a proxy it is the proxy's address. Then set oauth.Config.ClientAddr to
// oauth.BehindProxies with the proxies' addresses, on every router, and use no
// middleware that rewrites RemoteAddr, such as chi's RealIP. RealIP trusts a
// header that any client can write, and hides the proxy from BehindProxies.
package mounting
