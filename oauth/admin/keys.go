package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// createKey serves POST /workspaces/{workspace}/keys.
func (h *Handler) createKey(c *call) error {
	ctx, b := c.r.Context(), &c.body
	once, err := c.onceID(ctx)
	if err != nil {
		return err
	}
	b.require("name", "permissions")
	publicKeys, malformedKeys := c.credentials("public_keys", publicKeyMembers, readPublicKey)
	trusts, malformedTrusts := c.credentials("trusts", trustMembers, readTrust)
	if err := cmp.Or(malformedKeys, malformedTrusts); err != nil {
		return err
	}
	spec := apikey.Spec{
		Workspace:   c.workspace(),
		Name:        b.text("name"),
		Permissions: b.permissions("permissions"),
		Expiry:      b.expiry("expires_at"),
		Resources:   b.resources("resources"),
		Direct:      b.flag("direct"),
		NoSecret:    b.has("secret") && !b.flag("secret"),
		Credentials: slices.Concat(publicKeys, trusts),
		Once:        once,
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	key, secret, err := h.keys.Create(ctx, c.actor, spec)
	if err != nil {
		return c.orRepeated(ctx, once, h.inBody(err, len(publicKeys), spec.Credentials...))
	}
	// A relative URL works under any prefix (RFC 9110, section 10.2.2).
	c.w.Header().Set("Location", "../../keys/"+url.PathEscape(key.ID))
	return c.answerSecret(http.StatusCreated, &key, secret.Reveal())
}

// readKey serves GET /keys/{key}.
func (h *Handler) readKey(c *call) error {
	return c.answerKey(h.keys.Get(c.r.Context(), c.actor, c.key()))
}

// changeKey serves PATCH /keys/{key}. A member that is absent is not changed (RFC
// 7396).
func (h *Handler) changeKey(c *call) error {
	changes := c.changes()
	if err := c.bad.orNil(); err != nil {
		return err
	}
	return c.answerKey(h.keys.Update(c.r.Context(), c.actor, c.key(), changes))
}

// changes reads the changes of a key from the body.
func (c *call) changes() apikey.Changes {
	b := &c.body
	return apikey.Changes{
		Name:        given(b, "name", b.text),
		Permissions: given(b, "permissions", b.permissions),
		Expiry:      given(b, "expires_at", b.expiry),
		Resources:   given(b, "resources", b.resources),
		Direct:      given(b, "direct", b.flag),
		Version:     c.version,
	}
}

// rotateKey serves POST /keys/{key}/rotate. The grace is required, because
// without one every other secret is retired and its tokens are revoked at once.
func (h *Handler) rotateKey(c *call) error {
	ctx, b := c.r.Context(), &c.body
	once, err := c.onceID(ctx)
	if err != nil {
		return err
	}
	b.require("grace")
	rotation := apikey.Rotation{Grace: b.seconds("grace"), Changes: c.changes(), Once: once}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	key, secret, err := h.keys.Rotate(ctx, c.actor, c.key(), rotation)
	if err != nil {
		return c.orRepeated(ctx, once, err)
	}
	return c.answerSecret(http.StatusOK, &key, secret.Reveal())
}

// changeByID returns the handler of a change that needs nothing but the id of a key.
func changeByID(change func(*apikey.Service, context.Context, apikey.Actor, string, int64) (apikey.Key, error)) func(*Handler, *call) error {
	return func(h *Handler, c *call) error {
		return c.answerKey(change(h.keys, c.r.Context(), c.actor, c.key(), c.version))
	}
}

// deleteKey serves DELETE /keys/{key}.
func (h *Handler) deleteKey(c *call) error {
	if err := h.keys.Delete(c.r.Context(), c.actor, c.key(), c.version); err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxDeleted is the maximum number of keys that one request deletes.
const maxDeleted = 200

// deleteKeys serves POST /deletions. Each key is deleted separately and has its
// own result: if one fails, the others are still deleted.
func (h *Handler) deleteKeys(c *call) error {
	c.body.require("ids")
	ids := c.body.list("ids")
	if len(c.bad.list) == 0 && (len(ids) == 0 || len(ids) > maxDeleted) {
		c.bad.add("ids", "It must hold 1 to 200 ids of keys.")
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	results := make([]members, 0, len(ids))
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		result := members{"id": id, "status": http.StatusNoContent}
		if err := h.keys.Delete(c.r.Context(), c.actor, id, 0); err != nil {
			problem := problemOf(c.refusalOf(err))
			result["status"], result["problem"] = problem.Status, problem
		}
		results = append(results, result)
	}
	return c.answer(http.StatusOK, members{"results": results})
}

// findSecret serves POST /find_secret. It is a POST because URLs are logged.
func (h *Handler) findSecret(c *call) error {
	c.body.require("secret")
	text := c.body.text("secret")
	if err := c.bad.orNil(); err != nil {
		return err
	}
	key, secret, err := h.keys.FindSecret(c.r.Context(), c.actor, text)
	if err != nil {
		return err
	}
	state := "active"
	if !secret.NotAfter.IsZero() && !h.keys.Now().Before(secret.NotAfter) {
		state = "expired"
	}
	return c.answer(http.StatusOK, members{"key": showKey(&key), "secret": showSecret(&secret), "secret_state": state})
}

// showKey returns a key in an answer: everything except its digests.
func showKey(k *apikey.Key) members {
	state, reason := stateOf(k.Standing)
	return members{
		"id":           k.ID,
		"workspace":    k.Workspace,
		"name":         k.Name,
		"permissions":  k.Permissions,
		"requested":    k.RequestedPermissions,
		"resources":    append([]string{}, k.Resources...),
		"direct":       k.Direct,
		"expires_at":   orNull(k.NotAfter),
		"expires_on":   unlessZero(k.NotAfterText),
		"state":        state,
		"state_reason": unlessZero(reason),
		"state_text":   unlessZero(k.Standing.Text),
		"ends_at":      orNull(k.Standing.Expires),
		"withheld":     k.Withheld,
		"secrets":      those(k, showSecret),
		"public_keys":  those(k, showPublicKey),
		"trusts":       those(k, showTrust),
		"created_by":   k.CreatedBy,
		"created_at":   k.Created,
		"updated_at":   k.Updated,
		"last_used_at": orNull(k.LastUsed),
		"version":      k.Version,
	}
}

// stateOf returns the state of a key as answers name it, and the reason, which is
// empty for an active key. The audit event of a refused login has the same reason in
// its note, but never expired_by_rules: there it is expired.
func stateOf(s policy.Standing) (state, reason string) {
	switch {
	case s.Live():
		return string(s.State), ""
	case s.State == policy.StateExpired && s.ByRules:
		return string(s.State), "expired_by_rules"
	case s.State == policy.StateSuspended, s.State == policy.StateKeysOff:
		return "blocked", string(s.State)
	}
	return string(s.State), string(s.State)
}

// those returns the credentials of a key for which show returns something.
func those(k *apikey.Key, show func(*store.Credential) members) []members {
	return slices.DeleteFunc(each(k.Credentials, show), func(m members) bool { return m == nil })
}

// showSecret returns a secret of a key, or nil for another credential.
func showSecret(s *store.Credential) members {
	if !s.IsSecret() {
		return nil
	}
	return members{
		"id": s.ID, "hint": unlessZero(s.Hint), "created_at": s.Created, "expires_at": orNull(s.NotAfter), "last_used_at": orNull(s.LastUsed),
	}
}

// orNull returns nil, which is null in JSON, for the zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// unlessZero returns nil, which is null in JSON, for the zero value.
func unlessZero[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// answerKey sends a key with its ETag, or returns err.
func (c *call) answerKey(k apikey.Key, err error) error {
	if err != nil {
		return err
	}
	c.setETag(k.Version)
	return c.answer(http.StatusOK, showKey(&k))
}

// answerSecret sends the answer that holds a secret. It has no ETag, so that a
// browser cannot store and revalidate it.
func (c *call) answerSecret(status int, k *apikey.Key, secret string) error {
	return c.answer(status, members{"key": showKey(k), "secret": unlessZero(secret)})
}
