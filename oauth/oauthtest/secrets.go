package oauthtest

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// DirectKey is Key for a key that may be used directly: a guard with OrSecret accepts
// its secret in place of a token.
func (s *Server) DirectKey(t testing.TB, workspace string, permissions ...string) (id, secret string) {
	t.Helper()
	id, secret, err := s.key(t.Context(), apikey.Spec{Workspace: workspace, Direct: true}, permissions)
	if err != nil {
		t.Fatalf("oauthtest: DirectKey: %v", err)
	}
	return id, secret
}

func (s *Server) directKey(ctx context.Context, workspace string, permissions []string) (id, secret string, err error) {
	return s.key(ctx, apikey.Spec{Workspace: workspace, Direct: true}, permissions)
}

// form is a way to send a credential. send may be called twice for a request.
type form struct {
	name string
	send func(r *http.Request, id, secret string)
}

func asBearer(r *http.Request, _, credential string) {
	r.Header.Set("Authorization", "Bearer "+credential)
}

func asBasic(r *http.Request, id, secret string) {
	plain := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(plain)))
}

// forms are the ways to send a secret to the server's guards.
func (p *probe) forms() []form {
	all := []form{{"", asBearer}}
	if name := p.secretHeader(); name != "" {
		all = append(all, form{" in " + p.server.cfg.SecretForms.Header, func(r *http.Request, _, secret string) { r.Header[name] = []string{secret} }})
	}
	if p.server.cfg.SecretForms.Basic {
		all = append(all, form{" with Basic", asBasic})
	}
	return all
}

func (p *probe) secretHeader() string {
	return http.CanonicalHeaderKey(p.server.cfg.SecretForms.Header)
}

// secrets sends secrets that must be refused. If the route takes tokens only, these are
// all secrets.
func (p *probe) secrets(ctx context.Context) error {
	s, permissions := p.server, p.alternatives[0].Names()
	id, secret, err := s.directKey(ctx, p.home, permissions)
	if err != nil {
		return err
	}
	if !p.route.Secrets {
		for _, f := range p.forms() {
			p.refuseWith("a secret"+f.name, func(r *http.Request) { f.send(r, id, secret) }, http.StatusUnauthorized)
		}
		return nil
	}
	noDirect, wrong, err := s.key(ctx, apikey.Spec{Workspace: p.home}, permissions)
	if err != nil {
		return err
	}
	unknown, other, err := s.directKey(ctx, p.home, permissions)
	if err == nil {
		err = s.server.APIKeys().Delete(ctx, operator(), unknown, 0)
	}
	if err != nil {
		return err
	}
	token, _, err := s.token(ctx, s.server, p.home, permissions)
	if err != nil {
		return err
	}
	for _, f := range p.forms() {
		p.refuseWith("a secret of no key"+f.name, func(r *http.Request) { f.send(r, unknown, other) }, http.StatusUnauthorized)
		p.refuseWith("a text that is no secret"+f.name, func(r *http.Request) { f.send(r, id, "not-a-secret") }, http.StatusUnauthorized)
		p.refuseWith("a secret of a key that does not allow direct use"+f.name, func(r *http.Request) { f.send(r, noDirect, wrong) }, http.StatusUnauthorized)
		p.refuseWith("a secret"+f.name+" and a token", func(r *http.Request) {
			f.send(r, id, secret)
			r.Header["Authorization"] = append(r.Header["Authorization"][:min(1, len(r.Header["Authorization"]))], "Bearer "+token)
		}, http.StatusBadRequest)
	}
	if name := p.secretHeader(); name != "" {
		p.refuseWith("two secrets in "+s.cfg.SecretForms.Header, func(r *http.Request) { r.Header[name] = []string{secret, secret} }, http.StatusBadRequest)
	}
	if s.cfg.SecretForms.Basic {
		p.refuseWith("a secret with Basic, from a page of another site", func(r *http.Request) {
			asBasic(r, id, secret)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, http.StatusForbidden)
	}
	p.inQuery("a secret in the query", secret)
	return nil
}

// inQuery sends a credential in the URL.
func (p *probe) inQuery(what, credential string) {
	r := p.request()
	query := r.URL.Query()
	names := []string{"access_token"}
	if name := p.secretHeader(); name != "" {
		names = append(names, name, strings.ToLower(name))
	}
	for _, name := range names {
		query.Set(name, credential)
	}
	r.URL.RawQuery = query.Encode()
	r.RequestURI = r.URL.RequestURI()
	p.refuseRequest(what, r, http.StatusUnauthorized)
}

// directly sends a good secret, and sends it again after its key was disabled.
func (p *probe) directly(ctx context.Context) error {
	if !p.route.Secrets {
		return nil
	}
	for _, alternative := range p.alternatives {
		id, secret, err := p.server.directKey(ctx, p.home, alternative.Names())
		if err != nil {
			return err
		}
		for _, f := range p.forms() {
			r := p.request()
			f.send(r, id, secret)
			p.accept("a good secret"+f.name, alternative, r)
		}
		if err := p.server.disable(ctx, id); err != nil {
			return err
		}
		for _, f := range p.forms() {
			p.refuseWith("a secret of a disabled key"+f.name, func(r *http.Request) { f.send(r, id, secret) }, http.StatusUnauthorized)
		}
	}
	return nil
}
