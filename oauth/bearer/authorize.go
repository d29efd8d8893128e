package bearer

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/scope"
)

var errNoGuard = errors.New("bearer: the guard was not made by this verifier's Require")

// Credential returns the token of a request's Authorization header, for
// Authorize. A header of another scheme counts as none. The error wraps
// ErrUnauthenticated.
func Credential(header http.Header) (string, error) {
	token, err := request.Credentials(header, "Bearer")
	switch {
	case errors.Is(err, request.ErrAbsent):
		return "", errMissing
	case err != nil:
		return "", errMalformed
	}
	return token, nil
}

// Authorize decides about a request to a route of one workspace as the guard's
// middleware does, for servers that are not net/http's, such as gRPC, or that
// answer in a way of their own. credential is the token; an empty one counts as
// none. The guard is one of v's. The handler's context is to be made by
// WithPrincipal.
//
// The error wraps exactly one of ErrUnauthenticated, ErrForbidden, ErrNotFound
// and ErrUnavailable. For the zero Guard, and for a Guard of another Verifier, it
// wraps none of them: answer 500 then. It repeats nothing of the token.
func (v *Verifier) Authorize(ctx context.Context, credential string, guard Guard, workspace string) (*Principal, error) {
	return v.authorize(ctx, credential, guard, func() string { return workspace })
}

// AuthorizeAny is Authorize for a route that belongs to no workspace, or whose
// handler looks at Principal.Workspace itself. It never returns ErrNotFound.
func (v *Verifier) AuthorizeAny(ctx context.Context, credential string, guard Guard) (*Principal, error) {
	return v.authorize(ctx, credential, guard, nil)
}

// authorize decides. A nil workspace is a route that belongs to none.
func (v *Verifier) authorize(ctx context.Context, credential string, guard Guard, workspace func() string) (*Principal, error) {
	switch {
	case guard.verifier != v:
		return nil, errNoGuard
	case credential == "":
		return nil, errMissing
	}
	p, err := v.Verify(ctx, credential)
	if err != nil {
		if malformed(credential) {
			return nil, errMalformed
		}
		return nil, err
	}
	held := func(need scope.Set) bool { return p.Permissions.ContainsAll(need) }
	if !slices.ContainsFunc(guard.need, held) {
		return nil, &refusal{kind: ErrForbidden, said: answer.Refusal{Kind: answer.Insufficient}, scopes: guard.need[0].String()}
	}
	if workspace == nil {
		return p, nil
	}
	id := workspace()
	if id == "" {
		guard.unnamed.Do(func() {
			v.config.Logger.WarnContext(ctx, "a request to a guarded route was refused because it names no workspace: does its router set the path value, and by this name?",
				"guard", guard.need, "path_value", guard.pathValue)
		})
	}
	// An alternative reaches every workspace only if it asks for admin permissions and
	// for no others.
	reaches := func(need scope.Set) bool { return need.Len() > 0 && v.admin.ContainsAll(need) && held(need) }
	// 404 and not 403: a caller that may not enter a workspace must not learn whether
	// it exists.
	if id == "" || id != p.Workspace && !slices.ContainsFunc(guard.need, reaches) {
		return nil, errElsewhere
	}
	return p, nil
}
