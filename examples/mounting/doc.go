// Package mounting shows Latchkey on chi, Gin, Echo, gorilla/mux, httprouter
// and Fiber. It is all tests: read onChi, onGin and so on for how to mount the
// routes and guard your own.
//
// Where a router takes http.Handlers, the guard is middleware as it is, and
// InFunc says where the router keeps path values. Elsewhere the guard is a few
// lines around Guard.Check. It reports whether to go on; if it says no, it has
// answered, and nothing may be written after it.
//
// The routes can be mounted on the router or, with oauth.Server.Handler, in
// front of it.
//
// # AWS Lambda
//
// An adaptor such as github.com/awslabs/aws-lambda-go-api-proxy turns events
// into requests for any http.Handler: one that is made as on net/http, once, in
// main and not in the function that is called for each event.
//
//	mux := http.NewServeMux()
//	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(projects))
//	lambda.Start(httpadapter.NewV2(srv.Handler(mux)).ProxyWithContext)
//
// A process of Lambda is frozen between events, and with it oauth.Server.Run:
// give the server oauth.Config.Signers, and keep one server elsewhere that runs
// all the time for what Run does.
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
