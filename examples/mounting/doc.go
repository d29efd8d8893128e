// Package mounting shows Latchkey on chi, Gin, Echo 4 and 5, gorilla/mux, httprouter,
// Fiber, Huma and AWS Lambda, with the management API and the console, and behind
// middleware of several kinds (oauth/MIDDLEWARE.md has the results). It
// holds tests only: onChi, onGin and so on show how to mount the routes and guard your
// own.
//
// If a router takes http.Handlers, use the guard as middleware. If its path values are not
// those of http.Request.PathValue, read the workspace with Guard.InFunc. If a router takes
// no http.Handlers, write a few lines around Guard.Check. Check reports whether the request
// may pass. If not, it has written the answer: write nothing after it.
//
// The routes can be mounted on the router or, with oauth.Server.Handler, in
// front of it.
//
// # AWS Lambda
//
// An adapter such as github.com/awslabs/aws-lambda-go-api-proxy turns events
// into requests for any http.Handler. Create the handler once in main, as with net/http,
// and not in the function that is called for each event.
//
//	mux := http.NewServeMux()
//	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(projects))
//	lambda.Start(httpadapter.NewV2(srv.Handler(mux)).ProxyWithContext)
//
// onLambda is a complete example. Lambda freezes a process between events, so
// oauth.Server.Run cannot work there. Set oauth.Config.Signers, and let one server that
// always runs elsewhere call Run.
//
// # The client's address
//
// Limits of failed logins and rules by address use the address in RemoteAddr. net/http
// sets it with a port; adapters such as AWS Lambda's set it without. Behind a proxy it is
// the proxy's address. Then set oauth.Config.ClientAddr to oauth.BehindProxies with the
// proxies' addresses, on every router. Do not use middleware that changes RemoteAddr,
// such as chi's RealIP: it trusts a header that any client can send, and hides the proxy
// from BehindProxies.
package mounting
