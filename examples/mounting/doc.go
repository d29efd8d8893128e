// Package mounting shows Latchkey on chi, Gin and Echo. It is all tests: read
// onChi, onGin and onEcho for how to mount the routes and guard your own.
//
// # The client's address
//
// Limits of failed logins and rules by address count with the address in
// RemoteAddr, with a port or without, as net/http and adaptors such as AWS
// Lambda's set it. Behind a proxy that is the proxy's: set
// oauth.Config.ClientAddr to oauth.BehindProxies with the proxies' addresses,
// which is right on every router, and leave out what rewrites RemoteAddr, such
// as chi's RealIP. RealIP takes any client's word for its address, and behind
// it BehindProxies never sees the proxy.
package mounting
