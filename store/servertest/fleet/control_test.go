package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// order is a request from the test to a process.
type order struct {
	Workspace string
	Key       string
	Now       time.Time
	Attempts  int
	Allowed   int
	Workers   int
}

// made is a new key.
type made struct{ Workspace, Key, Secret string }

// control returns the handler for the test: POST /NAME with an order, answered with JSON.
func (h *host) control() http.Handler {
	mux := http.NewServeMux()
	on := func(name string, do func(ctx context.Context, o order) (any, error)) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var o order
			err := json.NewDecoder(r.Body).Decode(&o)
			var answer any
			if err == nil {
				answer, err = do(r.Context(), o)
			}
			switch {
			case errors.Is(err, store.ErrNotFound):
				w.WriteHeader(http.StatusNotFound)
			case err != nil:
				http.Error(w, err.Error(), http.StatusInternalServerError)
			default:
				_ = json.NewEncoder(w).Encode(answer)
			}
		})
	}
	on("cacheUsable", func(context.Context, order) (any, error) { return h.cached.Usable(), nil })
	on("clock", func(_ context.Context, o order) (any, error) { h.clock.Store(&o.Now); return true, nil })
	on("prompt", func(context.Context, order) (any, error) {
		select {
		case h.ring.prompts <- struct{}{}:
		default:
		}
		return true, nil
	})
	on("create", func(ctx context.Context, o order) (any, error) {
		key, secret, err := h.APIKeys().Create(ctx, administrator, apikey.Spec{
			Workspace: o.Workspace, Name: "ci", Permissions: scope.MustParse("project.list project.read"),
		})
		return made{o.Workspace, key.ID, secret.Reveal()}, err
	})
	for name, change := range changes {
		on(name, func(ctx context.Context, o order) (any, error) { return true, change(ctx, h.APIKeys(), o) })
	}
	on("spend", func(ctx context.Context, o order) (any, error) {
		return counted(o, func(i int) (bool, error) {
			err := h.store.OnceIDs.Spend(ctx, store.OnceID{Space: o.Workspace, ID: strconv.Itoa(i), Expires: o.Now.Add(time.Hour)}, o.Now)
			if errors.Is(err, store.ErrExists) {
				return false, nil
			}
			return err == nil, err
		})
	})
	on("advance", func(ctx context.Context, o order) (any, error) {
		return counted(o, func(int) (bool, error) {
			// The steps are minutes, since the limiter may use its server's clock, and some
			// drivers have no window beyond 100 days.
			_, moved, err := h.store.Limiter.Advance(ctx, o.Workspace, o.Now, time.Minute, time.Duration(o.Allowed)*time.Minute)
			return moved, err
		})
	})
	limit := h.LimitRequests(oauth.RequestLimit{Key: policy.Rate{Limit: perHour, Per: time.Hour}, Workspace: policy.Rate{Limit: perHour / 2, Per: time.Hour}})
	on("request", func(ctx context.Context, o order) (any, error) {
		ctx = bearer.WithPrincipal(ctx, &bearer.Principal{KeyID: o.Key, Workspace: o.Workspace})
		return counted(o, func(int) (bool, error) {
			w := httptest.NewRecorder()
			passed := limit.Check(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
			if !passed && w.Code != http.StatusTooManyRequests {
				return false, fmt.Errorf("status %d: %s", w.Code, w.Body)
			}
			return passed, nil
		})
	})
	return mux
}

// counted makes the attempts, several at a time, and returns how many passed.
func counted(o order, attempt func(i int) (bool, error)) (int, error) {
	var next, passed atomic.Int64
	failed := make(chan error, o.Workers)
	var workers sync.WaitGroup
	for range o.Workers {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(o.Attempts); i = next.Add(1) {
				ok, err := attempt(int(i))
				if err != nil {
					failed <- fmt.Errorf("attempt %d: %w", i, err)
					return
				}
				if ok {
					passed.Add(1)
				}
			}
		})
	}
	workers.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return int(passed.Load()), nil
	}
}

// changes are the changes that revoke tokens, and those that revert them, by name.
var changes = map[string]func(ctx context.Context, keys *apikey.Service, o order) error{
	"disable": func(ctx context.Context, keys *apikey.Service, o order) error {
		_, err := keys.Disable(ctx, administrator, o.Key, 0)
		return err
	},
	"enable": func(ctx context.Context, keys *apikey.Service, o order) error {
		_, err := keys.Enable(ctx, administrator, o.Key, 0)
		return err
	},
	"delete": func(ctx context.Context, keys *apikey.Service, o order) error {
		return keys.Delete(ctx, administrator, o.Key, 0)
	},
	"rotate": func(ctx context.Context, keys *apikey.Service, o order) error {
		_, _, err := keys.Rotate(ctx, administrator, o.Key, apikey.Rotation{})
		return err
	},
	"narrow": func(ctx context.Context, keys *apikey.Service, o order) error {
		fewer := scope.MustParse("project.list")
		_, err := keys.Update(ctx, administrator, o.Key, apikey.Changes{Permissions: &fewer})
		return err
	},
	"suspend": func(ctx context.Context, keys *apikey.Service, o order) error {
		return keys.SetSuspended(ctx, administrator, o.Workspace, true)
	},
	"delete-workspace": func(ctx context.Context, keys *apikey.Service, o order) error {
		return keys.DeleteWorkspace(ctx, administrator, o.Workspace)
	},
	"keys-off": func(ctx context.Context, keys *apikey.Service, _ order) error { return switchKeys(ctx, keys, true) },
	"keys-on":  func(ctx context.Context, keys *apikey.Service, _ order) error { return switchKeys(ctx, keys, false) },
}

func switchKeys(ctx context.Context, keys *apikey.Service, off bool) error {
	settings, err := keys.Settings(ctx, administrator)
	if err != nil {
		return err
	}
	settings.KeysOff = off
	_, err = keys.SaveSettings(ctx, administrator, settings)
	return err
}
