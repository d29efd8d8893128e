package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const (
	createA = "/workspaces/team-a/keys"
	newKey  = `{"name":"ci","permissions":["project.list"]}`
)

func TestIdempotentCreate(t *testing.T) {
	r := newRig(t, func(s *setup) { s.keys.Policy = policy.MaxKeys(2) })
	var first made
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated).Into(&first)
	again := func(actor string) admin.Problem {
		return r.do(actor, "POST", createA, newKey, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone)
	}
	t.Run("B23 a retry creates no second key and names the first", func(t *testing.T) {
		require.Equal(t, first.Key.ID, again("olga").Key)
		require.Len(t, r.list("olga", createA).Keys, 1)
	})
	t.Run("another body", func(t *testing.T) {
		p := r.at(t).do("olga", "POST", createA, `{"name":"other","permissions":[]}`, "Idempotency-Key", "one").problem(http.StatusUnprocessableEntity, admin.CodeIdempotencyMismatch)
		require.Empty(t, p.Key)
	})
	t.Run("a body that is wrong, too", func(t *testing.T) {
		r.at(t).do("olga", "POST", createA, `{"name":""}`, "Idempotency-Key", "one").problem(http.StatusUnprocessableEntity, admin.CodeIdempotencyMismatch)
	})
	t.Run("B20 the same Idempotency-Key of another actor is independent", func(t *testing.T) {
		r.at(t).do("max", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	})
	t.Run("B20 that of another kind of actor with the same id is independent", func(t *testing.T) {
		r := newRig(t)
		r.do("ada", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
		r.do("ada?", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	})
	t.Run("B20 that of another workspace is independent", func(t *testing.T) {
		r := r.at(t)
		r.do("both", "POST", "/workspaces/team-b/keys", newKey, "Idempotency-Key", "both").Wants(http.StatusCreated)
		r.do("both", "POST", createA, newKey, "Idempotency-Key", "both").problem(http.StatusForbidden, admin.CodePolicy)
	})
	t.Run("at the quota a retry still gets the id of the first key", func(t *testing.T) {
		require.Equal(t, first.Key.ID, again("olga").Key)
		r.at(t).do("olga", "POST", createA, newKey, "Idempotency-Key", "two").problem(http.StatusForbidden, admin.CodePolicy)
	})
	t.Run("a failed request can be sent again", func(t *testing.T) {
		r := r.at(t)
		r.do("olga", "DELETE", "/keys/"+first.Key.ID, "").Wants(http.StatusNoContent)
		r.do("olga", "POST", createA, newKey, "Idempotency-Key", "two").Wants(http.StatusCreated)
	})
	t.Run("a retry gets the id of the first key even if it was deleted", func(t *testing.T) {
		require.Equal(t, first.Key.ID, again("olga").Key)
	})
	for name, headers := range map[string][]string{
		"empty": {"Idempotency-Key", ""}, "too long": {"Idempotency-Key", strings.Repeat("x", 256)}, "not ASCII": {"Idempotency-Key", "ä"},
		"two": {"Idempotency-Key", "a", "Idempotency-Key", "b"},
	} {
		t.Run("malformed: "+name, func(t *testing.T) {
			r.at(t).do("olga", "POST", createA, newKey, headers...).problem(http.StatusBadRequest, admin.CodeMalformed)
		})
	}
}

func TestIdempotencyKeyExpires(t *testing.T) {
	r := newRig(t)
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	r.clock.Advance(24*time.Hour - time.Second)
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone)
	r.clock.Advance(time.Second)
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
}

func TestIdempotentRotate(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	other := r.create("olga", "team-a", "other")
	rotate := "/keys/" + m.Key.ID + "/rotate"
	var rotated made
	r.do("olga", "POST", rotate, `{"grace":0}`, "Idempotency-Key", "one", "If-Match", `"1"`).Wants(http.StatusOK).Into(&rotated)
	t.Run("B23 a retry creates no second secret", func(t *testing.T) {
		r := r.at(t)
		before := r.snapshot("team-a")
		for _, headers := range [][]string{{"If-Match", `"1"`}, {"If-Match", `"2"`}, {}} {
			p := r.do("olga", "POST", rotate, `{"grace":0}`, append(headers, "Idempotency-Key", "one")...).problem(http.StatusConflict, admin.CodeAlreadyDone)
			require.Equal(t, m.Key.ID, p.Key)
		}
		require.Equal(t, before, r.snapshot("team-a"))
		require.NoError(t, r.login(m.Key.ID, rotated.Secret))
	})
	t.Run("another body", func(t *testing.T) {
		r.at(t).do("olga", "POST", rotate, `{"grace":1}`, "Idempotency-Key", "one").problem(http.StatusUnprocessableEntity, admin.CodeIdempotencyMismatch)
	})
	t.Run("another key, another route", func(t *testing.T) {
		r := r.at(t)
		r.do("olga", "POST", "/keys/"+other.Key.ID+"/rotate", `{"grace":0}`, "Idempotency-Key", "one").Wants(http.StatusOK)
		r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	})
}

// TestIdempotencyRaces sends one request many times at once: one is carried out, and all
// others are answered with its key.
func TestIdempotencyRaces(t *testing.T) {
	const clients = 16
	r := newRig(t)
	first := r.create("olga", "team-a", "ci")
	for _, c := range []struct{ name, path, body string }{
		{"create", createA, newKey},
		{"rotate", "/keys/" + first.Key.ID + "/rotate", `{"grace":60}`},
		{"trust", "/keys/" + first.Key.ID + "/trusts", `{"name":"x","issuer":"cluster","claims":{"uid":"ROUND"}}`},
	} {
		t.Run("B23 "+c.name, func(t *testing.T) {
			for round := range 10 {
				body := strings.ReplaceAll(c.body, "ROUND", string(rune('a'+round)))
				answers := together(clients, func(int) *reply {
					return r.do("olga", "POST", c.path, body, "Idempotency-Key", c.name+string(rune('a'+round)))
				})
				done := 0
				id := first.Key.ID
				for _, a := range answers {
					if a.StatusCode >= 300 {
						continue
					}
					if done++; c.name == "create" {
						var m made
						a.Into(&m)
						id = m.Key.ID
					}
				}
				require.Equal(t, 1, done)
				for _, a := range answers {
					if a.StatusCode >= 300 {
						require.Equal(t, id, a.problem(http.StatusConflict, admin.CodeAlreadyDone).Key)
					}
				}
				p := r.do("olga", "POST", c.path, body, "Idempotency-Key", c.name+string(rune('a'+round))).problem(http.StatusConflict, admin.CodeAlreadyDone)
				require.Equal(t, id, p.Key)
				r.clock.Advance(time.Hour)
			}
		})
	}
	require.Len(t, r.list("olga", createA).Keys, 1+10)
}

// TestQuotaRace: of many concurrent creations exactly the quota succeeds.
func TestQuotaRace(t *testing.T) {
	r := newRig(t, func(s *setup) { s.keys.Policy = policy.MaxKeys(5) })
	answers := together(24, func(int) *reply { return r.do("olga", "POST", createA, newKey) })
	count := map[int]int{}
	for _, a := range answers {
		count[a.StatusCode]++
	}
	require.Equal(t, map[int]int{201: 5, 403: 19}, count)
	require.Len(t, r.list("olga", createA).Keys, 5)
}

// cutOff closes the connection at the first byte of the answer, after everything was
// written to the store.
type cutOff struct{ http.ResponseWriter }

func (cutOff) WriteHeader(int) { panic(http.ErrAbortHandler) }

func (cutOff) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }

// TestCutOff closes the connection between the write and the answer. Another process
// answers the retry.
func TestCutOff(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.mount = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("X-Cut-Off") != "" {
					w = cutOff{w}
				}
				h.ServeHTTP(w, req)
			})
		}
	})
	_, err := r.try("olga", "POST", createA, newKey, "Idempotency-Key", "one", "X-Cut-Off", "yes")
	require.Error(t, err, "the client knows nothing")
	after := newRig(t, func(s *setup) { s.store = r.store })
	keys := after.list("olga", createA).Keys
	require.Len(t, keys, 1)
	p := after.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone)
	require.Equal(t, keys[0].ID, p.Key)
	require.Len(t, after.list("olga", createA).Keys, 1, "B23")

	_, err = r.try("olga", "POST", "/keys/"+p.Key+"/rotate", `{"grace":0}`, "Idempotency-Key", "two", "X-Cut-Off", "yes")
	require.Error(t, err)
	p = after.do("olga", "POST", "/keys/"+p.Key+"/rotate", `{"grace":0}`, "Idempotency-Key", "two").problem(http.StatusConflict, admin.CodeAlreadyDone)
	var rotated made
	after.do("olga", "POST", "/keys/"+p.Key+"/rotate", `{"grace":0}`, "Idempotency-Key", "three").Wants(http.StatusOK).Into(&rotated)
	require.NoError(t, after.login(p.Key, rotated.Secret), "what is left to do: rotate")
}

// TestWithoutOnceIDs: with a store that cannot say what an id was used for, a request is
// still carried out only once.
func TestWithoutOnceIDs(t *testing.T) {
	whole := newRig(t)
	r := newRig(t, func(s *setup) {
		s.store = whole.store
		s.store.OnceIDs = nil
	})
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeConflict)
	require.Len(t, r.list("olga", createA).Keys, 1)
	_, _, err := r.keys.FindOnce(t.Context(), store.OnceID{Space: "x", ID: "y"})
	require.ErrorIs(t, err, store.ErrNotFound)
}
