package oauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// ForwardAuth returns a handler that a proxy asks about each request to a service behind
// it: auth_request of nginx, ForwardAuth of Traefik, forward_auth of Caddy. MIDDLEWARE.md
// has their configurations. The handler reads the headers with a credential, under any
// method and path, and never the body.
//
// A request that guard and limits let pass is answered with 204 and the headers X-Workspace,
// X-Client-Id (the id of the key) and X-Scope (the permissions of the token, or with a secret
// those of the key, separated by spaces). All three are always there, and empty if there is
// no value, so that the proxy replaces what the client sent under these names. The guard is one for any workspace: the service behind must
// scope what it does by X-Workspace. A refusal is answered as guard and limits answer it:
// 400, 401, and 403 for a missing permission with WWW-Authenticate, 429 and 503 with
// Retry-After. No cache may keep an answer.
//
// X-Workspace is the workspace's id byte for byte. An id that is not printable ASCII, or that
// begins or ends with a space, cannot be sent so: its requests are answered with 500, and an
// error is logged.
//
// ForwardAuth panics if guard was not made by Require, or if a limit is nil.
func (s *Server) ForwardAuth(guard bearer.Guard, limits ...*RequestLimiter) http.Handler {
	var passed http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		if !request.IsPrintable(p.Workspace) || strings.TrimSpace(p.Workspace) != p.Workspace {
			s.refuse(r.Context(), w, fmt.Errorf("oauth: ForwardAuth: the id of workspace %q cannot be sent in a header: give it one of printable ASCII", p.Workspace))
			return
		}
		header := w.Header()
		header.Set("X-Workspace", p.Workspace)
		header.Set("X-Client-Id", p.KeyID)
		header.Set("X-Scope", p.Permissions.String())
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
	for _, limit := range slices.Backward(limits) {
		passed = limit.Handler(passed)
	}
	guarded := guard.AnyWorkspace()(passed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.host.BoundBody(w, r, bodyDeadline)
		guarded.ServeHTTP(w, r)
	})
}
