package oauthtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/scope"
)

// run first sends the requests that must be refused, and then those that must be
// accepted: these run the handler, which may change the answers to later requests.
func (p *probe) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.withoutToken, p.secrets, p.lacking, p.otherWorkspace, p.permitted, p.directly} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if p.route.Session != nil {
		p.session()
	}
	return nil
}

// withoutToken sends requests without a valid token.
func (p *probe) withoutToken(ctx context.Context) error {
	s, permissions := p.server, p.alternatives[0].Names()
	p.refuse("a request without a token", "", http.StatusUnauthorized)
	p.refuse("a text that is no token", "Bearer not-a-token", http.StatusUnauthorized)
	good, _, err := s.token(ctx, s.plain, p.home, permissions)
	if err != nil {
		return err
	}
	p.inQuery("a token in the query", good)

	for _, bad := range []struct {
		what  string
		issue func(context.Context, string, []string) (string, error)
	}{
		{"an unsigned token", s.unsigned},
		{"a token signed with another key", s.wrongKey},
		{"an expired token", s.expired},
		{"a token of another issuer", s.foreignIssuer},
		{"a token for another audience", s.foreignAudience},
	} {
		token, err := bad.issue(ctx, p.home, permissions)
		if err != nil {
			return fmt.Errorf("make %s: %w", bad.what, err)
		}
		p.refuse(bad.what, "Bearer "+token, http.StatusUnauthorized)
	}
	return nil
}

// maxScope bounds the scope of a token in bytes. The token is then far smaller than the
// largest one that a verifier accepts.
const maxScope = 3000

// lacking sends tokens that lack one of the required permissions and hold all
// others.
func (p *probe) lacking(ctx context.Context) error {
	var required scope.Set
	for _, alternative := range p.alternatives {
		required = required.Union(alternative)
	}
	others := portions(p.server.server.APIKeys().Catalog().All().Minus(required).Names())
	for _, alternative := range p.alternatives {
		for _, name := range alternative.Names() {
			missing, err := scope.Of(name)
			if err != nil {
				return err
			}
			kept := alternative.Minus(missing)
			if slices.ContainsFunc(p.alternatives, kept.ContainsAll) {
				continue // the rest satisfies another alternative
			}
			for _, portion := range others {
				held := append(kept.Names(), portion...)
				what := " without " + name
				if len(held) > 0 {
					what += " (it holds " + strings.Join(held, ", ") + ")"
				}
				token, _, err := p.server.token(ctx, p.server.plain, p.home, held)
				if err != nil {
					return err
				}
				p.refuse("a token"+what, "Bearer "+token, http.StatusForbidden)
				if !p.route.Secrets {
					continue
				}
				_, secret, err := p.server.directKey(ctx, p.home, held)
				if err != nil {
					return err
				}
				p.refuse("a secret of a key"+what, "Bearer "+secret, http.StatusForbidden)
			}
		}
	}
	return nil
}

// portions splits names into the scopes of several tokens. It returns at least one
// portion.
func portions(names []string) [][]string {
	all, size := [][]string{nil}, 0
	for _, name := range names {
		if size += len(name) + 1; size > maxScope {
			all, size = append(all, nil), len(name)+1
		}
		all[len(all)-1] = append(all[len(all)-1], name)
	}
	return all
}

// otherWorkspace sends tokens of another workspace.
func (p *probe) otherWorkspace(ctx context.Context) error {
	if p.route.Workspace == "" {
		return nil
	}
	for _, alternative := range p.alternatives {
		if p.server.reachesAll(alternative) {
			continue
		}
		token, err := p.server.otherWorkspace(ctx, p.home, alternative.Names())
		if err != nil {
			return err
		}
		p.elsewhere("a token of another workspace", token)
		if !p.route.Secrets {
			continue
		}
		_, secret, err := p.server.directKey(ctx, otherThan(p.home), alternative.Names())
		if err != nil {
			return err
		}
		p.elsewhere("a secret of another workspace", secret)
	}
	return nil
}

// elsewhere sends a credential of another workspace.
func (p *probe) elsewhere(what, credential string) {
	if !p.route.WorkspaceFromToken {
		p.refuse(what, "Bearer "+credential, http.StatusNotFound, http.StatusForbidden)
		return
	}
	r := p.request()
	asBearer(r, "", credential)
	if answer := p.serve(what, r); answer != nil {
		p.refusals = append(p.refusals, outcome{what, answer}) // any answer but the one to a good token
	}
}

// permitted sends tokens that hold the required permissions, and sends them again
// after their key was disabled.
func (p *probe) permitted(ctx context.Context) error {
	s := p.server
	for _, alternative := range p.alternatives {
		token, id, err := s.token(ctx, s.server, p.home, alternative.Names())
		if err != nil {
			return err
		}
		r := p.request()
		asBearer(r, "", token)
		answer := p.accept("a good token", alternative, r)
		if answer == nil {
			continue
		}
		if !p.route.UntilExpiry {
			if err := s.disable(ctx, id); err != nil {
				return err
			}
			p.refuse("a token whose key was disabled", "Bearer "+token, http.StatusUnauthorized)
		}
		p.findLeaks(answer.Body.Bytes())
	}
	return nil
}

// accept sends a request that must be accepted. It returns nil if it was not.
func (p *probe) accept(what string, held scope.Set, r *http.Request) *httptest.ResponseRecorder {
	answer := p.serve(what, r)
	if answer != nil && p.refuses(answer) {
		p.report("refused %s, with %d%s (it holds %s in workspace %s): %s",
			what, answer.Code, p.hint(what, answer.Code), orNothing(held), p.home, strings.TrimSpace(answer.Body.String()))
		return nil
	}
	return answer
}

// session sends a request with the host's session and no token.
func (p *probe) session() {
	r := p.request()
	p.route.Session(r)
	answer := p.serve("a session", r)
	switch {
	case answer == nil:
	case p.refuses(answer):
		p.report("refused a session, with %d: %s", answer.Code, strings.TrimSpace(answer.Body.String()))
	default:
		p.findLeaks(answer.Body.Bytes())
	}
}

func orNothing(s scope.Set) string {
	if s.Len() == 0 {
		return "no permission"
	}
	return s.String()
}
