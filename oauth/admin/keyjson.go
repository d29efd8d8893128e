package admin

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
)

// keyJSON is a key as answers show it: everything but its digests.
type keyJSON struct {
	ID          string       `json:"id"`
	Workspace   string       `json:"workspace"`
	Name        string       `json:"name"`
	Permissions []string     `json:"permissions"`
	Asked       []string     `json:"asked"`
	Resources   []string     `json:"resources"`
	ExpiresAt   *string      `json:"expires_at"`
	NotAfter    *time.Time   `json:"not_after"`
	State       policy.State `json:"state"`
	Reason      *string      `json:"reason"`
	EndsAt      *time.Time   `json:"ends_at"`
	Withheld    []string     `json:"withheld"`
	Secrets     []secretJSON `json:"secrets"`
	CreatedBy   actorJSON    `json:"created_by"`
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`
	LastUsedAt  *time.Time   `json:"last_used_at"`
	Version     int64        `json:"version"`
}

type secretJSON struct {
	ID         string     `json:"id"`
	Hint       string     `json:"hint"`
	CreatedAt  time.Time  `json:"created_at"`
	NotAfter   *time.Time `json:"not_after"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

type actorJSON struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func showKey(k *apikey.Key) keyJSON {
	shown := keyJSON{
		ID:          k.ID,
		Workspace:   k.Workspace,
		Name:        k.Name,
		Permissions: k.Permissions.Names(),
		Asked:       k.Asked.Names(),
		Resources:   append([]string{}, k.Resources...),
		ExpiresAt:   textOrNull(k.NotAfterText),
		NotAfter:    orNull(k.NotAfter),
		State:       k.Standing.State,
		Reason:      textOrNull(k.Standing.Text),
		EndsAt:      orNull(k.Standing.Ends),
		Withheld:    k.Withheld.Names(),
		Secrets:     each(k.Secrets, showSecret),
		CreatedBy:   actorJSON(k.CreatedBy),
		CreatedAt:   k.Created,
		UpdatedAt:   k.Updated,
		LastUsedAt:  orNull(k.LastUsed),
		Version:     k.Version,
	}
	if k.NotAfterText == "" && !k.NotAfter.IsZero() {
		shown.ExpiresAt = textOrNull(k.NotAfter.Format(time.RFC3339Nano))
	}
	return shown
}

func showSecret(s *apikey.KeySecret) secretJSON {
	return secretJSON{ID: s.ID, Hint: s.Hint, CreatedAt: s.Created, NotAfter: orNull(s.NotAfter), LastUsedAt: orNull(s.LastUsed)}
}

// orNull shows the zero time, which is never, as null.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// answerKey sends a key with its ETag, if there was no error.
func (c *call) answerKey(k apikey.Key, err error) error {
	if err != nil {
		return err
	}
	c.setETag(k.Version)
	return c.answer(http.StatusOK, showKey(&k))
}

// answerSecret sends the one answer that holds a secret: without an ETag, by
// which a browser might ask for it again.
func (c *call) answerSecret(status int, k *apikey.Key, secret string) error {
	return c.answer(status, members{"key": showKey(k), "secret": secret})
}
