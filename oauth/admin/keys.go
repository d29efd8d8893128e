package admin

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// What a body may hold.
var (
	specMembers   = []string{"name", "permissions", "expires_at", "resources"}
	rotateMembers = []string{"grace", "name", "permissions", "expires_at", "resources"}
)

// createKey serves POST /workspaces/{workspace}/keys.
func (h *Handler) createKey(c *call) error {
	ctx := c.r.Context()
	b, err := c.readBody(specMembers...)
	if err != nil {
		return err
	}
	once, err := c.once(b)
	if err != nil {
		return err
	}
	if err := c.repeated(ctx, once); err != nil {
		return err
	}
	b.require("name", "permissions")
	spec := apikey.Spec{
		Workspace:   c.workspace(),
		Name:        b.text("name"),
		Permissions: b.permissions("permissions"),
		Expiry:      b.expiry("expires_at"),
		Resources:   b.resources("resources"),
		Once:        once,
		Address:     h.clients.Addr(c.r),
	}
	if err := c.faults(b); err != nil {
		return err
	}
	key, secret, err := h.keys.Create(ctx, c.actor, spec)
	if err != nil {
		return c.orRepeated(ctx, once, err)
	}
	// Relative, so that it is right under any prefix (RFC 9110, section 10.2.2).
	c.w.Header().Set("Location", "../../keys/"+url.PathEscape(key.ID))
	return c.answerSecret(http.StatusCreated, &key, secret.Reveal())
}

// readKey serves GET /keys/{key}.
func (h *Handler) readKey(c *call) error {
	key, err := h.keys.Get(c.r.Context(), c.actor, c.key())
	if err != nil {
		return err
	}
	return c.answerKey(&key)
}

// changeKey serves PATCH /keys/{key}: a member that is absent stays as it is
// (RFC 7396).
func (h *Handler) changeKey(c *call) error {
	b, err := c.readBody(specMembers...)
	if err != nil {
		return err
	}
	changes := c.changes(b)
	if changes.Version, err = c.keyVersion(); err != nil {
		return err
	}
	if err := c.faults(b); err != nil {
		return err
	}
	key, err := h.keys.Update(c.r.Context(), c.actor, c.key(), changes)
	if err != nil {
		return err
	}
	return c.answerKey(&key)
}

// changes reads the members that change a key.
func (c *call) changes(b *body) apikey.Changes {
	changes := apikey.Changes{Address: c.h.clients.Addr(c.r)}
	if b.has("name") {
		name := b.text("name")
		changes.Name = &name
	}
	if b.has("permissions") {
		permissions := b.permissions("permissions")
		changes.Permissions = &permissions
	}
	if b.has("expires_at") {
		expiry := b.expiry("expires_at")
		changes.Expiry = &expiry
	}
	if b.has("resources") {
		resources := b.resources("resources")
		changes.Resources = &resources
	}
	return changes
}

// rotateKey serves POST /keys/{key}/rotate. The grace must be said: without
// one every other secret and its tokens end at once.
func (h *Handler) rotateKey(c *call) error {
	ctx := c.r.Context()
	b, err := c.readBody(rotateMembers...)
	if err != nil {
		return err
	}
	once, err := c.once(b)
	if err != nil {
		return err
	}
	if err := c.repeated(ctx, once); err != nil {
		return err
	}
	b.require("grace")
	rotation := apikey.Rotation{Grace: b.seconds("grace"), Changes: c.changes(b), Once: once}
	if rotation.Changes.Version, err = c.keyVersion(); err != nil {
		return err
	}
	if err := c.faults(b); err != nil {
		return err
	}
	key, secret, err := h.keys.Rotate(ctx, c.actor, c.key(), rotation)
	if err != nil {
		return c.orRepeated(ctx, once, err)
	}
	return c.answerSecret(http.StatusOK, &key, secret.Reveal())
}

// retireSecret serves DELETE /keys/{key}/secrets/{secret}.
func (h *Handler) retireSecret(c *call) error {
	version, err := c.keyVersion()
	if err != nil {
		return err
	}
	key, err := h.keys.RetireSecret(c.r.Context(), c.actor, c.key(), c.params["secret"], version)
	if err != nil {
		return err
	}
	return c.answerKey(&key)
}

// disableKey serves POST /keys/{key}/disable.
func (h *Handler) disableKey(c *call) error {
	if _, err := c.readBody(); err != nil {
		return err
	}
	version, err := c.keyVersion()
	if err != nil {
		return err
	}
	key, err := h.keys.Disable(c.r.Context(), c.actor, c.key(), version)
	if err != nil {
		return err
	}
	return c.answerKey(&key)
}

// enableKey serves POST /keys/{key}/enable.
func (h *Handler) enableKey(c *call) error {
	if _, err := c.readBody(); err != nil {
		return err
	}
	version, err := c.keyVersion()
	if err != nil {
		return err
	}
	key, err := h.keys.Enable(c.r.Context(), c.actor, c.key(), version)
	if err != nil {
		return err
	}
	return c.answerKey(&key)
}

// deleteKey serves DELETE /keys/{key}.
func (h *Handler) deleteKey(c *call) error {
	version, err := c.keyVersion()
	if err != nil {
		return err
	}
	if err := h.keys.Delete(c.r.Context(), c.actor, c.key(), version); err != nil {
		return err
	}
	return c.answerEmpty()
}

// maxDeleted is how many keys one request deletes at most.
const maxDeleted = 200

// deletion says what became of one key.
type deletion struct {
	ID      string   `json:"id"`
	Status  int      `json:"status"`
	Problem *Problem `json:"problem,omitempty"`
}

// deleteKeys serves POST /deletions. Each key is deleted by itself, and
// answered for by itself: one that fails keeps no other.
func (h *Handler) deleteKeys(c *call) error {
	ctx := c.r.Context()
	b, err := c.readBody("ids")
	if err != nil {
		return err
	}
	b.require("ids")
	ids := b.list("ids")
	if len(b.fieldErrors.list) == 0 && (len(ids) == 0 || len(ids) > maxDeleted) {
		b.add("ids", "It must name 1 to 200 keys.")
	}
	if err := b.orNil(); err != nil {
		return err
	}
	results := make([]deletion, 0, len(ids))
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		result := deletion{ID: id, Status: http.StatusNoContent}
		if err := h.keys.Delete(ctx, c.actor, id, 0); err != nil {
			problem := problemOf(c.refusalOf(err))
			result.Status, result.Problem = problem.Status, &problem
		}
		results = append(results, result)
	}
	return c.answer(http.StatusOK, struct {
		Results []deletion `json:"results"`
	}{results})
}
