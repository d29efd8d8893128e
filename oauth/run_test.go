package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// running starts a server's Run inside a synctest bubble, whose clock is the
// server's. stop ends it and returns what Run returned.
func running(t *testing.T, changes ...func(*store.Store, *oauth.Config)) (srv *oauth.Server, tapped *storetest.Tap, login func() answer, stop func() error) {
	t.Helper()
	st, tapped := harness.NewTap()
	cfg := oauth.Config{Logger: quiet, Issuer: "https://a.example", Permissions: catalog}
	for _, change := range changes {
		change(&st, &cfg)
	}
	srv, err := oauth.New(st, cfg)
	require.NoError(t, err)
	key, secret, err := srv.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list")})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	login = func() answer { return serve(srv.Token(), http.MethodPost, "/", cc, basic(key.ID, secret.Reveal())...) }
	return srv, tapped, login, func() error { cancel(); return <-done }
}

func TestRun(t *testing.T) {
	t.Run("last uses are written every few seconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, tapped, login, stop := running(t)
			require.Equal(t, http.StatusOK, login().StatusCode)
			used := time.Now()
			require.Zero(t, tapped.Take()["Upkeep.RecordUses"])
			time.Sleep(6 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Equal(t, 1, tapped.Take()["Upkeep.RecordUses"])
			page, err := srv.APIKeys().List(t.Context(), admin, store.KeyQuery{})
			require.NoError(t, err)
			require.WithinDuration(t, used, page.Keys[0].LastUsed, time.Microsecond)
			require.NoError(t, stop())
		})
	})
	t.Run("what is left is written at the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, tapped, login, stop := running(t)
			require.Equal(t, http.StatusOK, login().StatusCode)
			require.NoError(t, stop())
			require.Equal(t, 1, tapped.Take()["Upkeep.RecordUses"])
		})
	})
	t.Run("a store that hangs at the end delays Run only for a bounded time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, tapped, login, stop := running(t)
			require.Equal(t, http.StatusOK, login().StatusCode)
			tapped.Before(harness.Hang)
			began := time.Now()
			require.ErrorIs(t, stop(), context.DeadlineExceeded)
			require.Equal(t, 5*time.Second, time.Since(began))
		})
	})
	t.Run("B19 a write that fails is tried again, and nothing is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, tapped, login, stop := running(t)
			require.Equal(t, http.StatusOK, login().StatusCode)
			tapped.Before(func(context.Context, string) error { return errors.New("down") })
			time.Sleep(16 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Equal(t, 3, tapped.Take()["Upkeep.RecordUses"])
			tapped.Before(nil)
			time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Equal(t, 1, tapped.Take()["Upkeep.RecordUses"])
			require.NoError(t, stop())
		})
	})
	t.Run("B19 a store that hangs does not block later background work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, tapped, login, stop := running(t)
			require.Equal(t, http.StatusOK, login().StatusCode)
			tapped.Before(harness.Hang)
			time.Sleep(6 * time.Second) //nolint:forbidigo // the bubble's clock
			tapped.Before(nil)
			tapped.Take()
			time.Sleep(40 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Equal(t, 1, tapped.Take()["Upkeep.RecordUses"])
			require.NoError(t, stop())
		})
	})
	t.Run("old events and tombstones are pruned every hour", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, tapped, _, stop := running(t)
			time.Sleep(3*time.Hour + time.Minute) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			counts := tapped.Take()
			require.Equal(t, 3, counts["Events.Prune"])
			require.Equal(t, 3, counts["Upkeep.Purge"])
			require.NoError(t, stop())
		})
	})
	t.Run("8414-08 signing keys rotate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// No notification comes, and a day is enough: a month has 13 million
			// heartbeats, and TestRotation sees that it is the default.
			const every = 24 * time.Hour
			srv, _, login, stop := running(t, func(st *store.Store, cfg *oauth.Config) { st.Watch, cfg.RotateEvery = nil, every })
			first := harness.Head(t, login().Token())["kid"]
			time.Sleep(every - 5*time.Minute) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Len(t, kidsOf(t, serve(srv.JWKS(), http.MethodGet, "/", "").Body), 2, "published before its first use")
			require.Equal(t, first, harness.Head(t, login().Token())["kid"])
			time.Sleep(10 * time.Minute) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.NotEqual(t, first, harness.Head(t, login().Token())["kid"])
			require.NoError(t, stop())
		})
	})
	t.Run("B19 signing keys that cannot be read are read later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := &harness.Recorder{}
			_, tapped, login, stop := running(t, func(_ *store.Store, cfg *oauth.Config) {
				cfg.SealKeys, cfg.RotateEvery, cfg.Logger = []oauth.SealKey{sealKey(1)}, time.Hour, log.Logger()
			})
			first := harness.Head(t, login().Token())["kid"]
			tapped.Before(func(ctx context.Context, call string) error {
				if strings.HasPrefix(call, "SigningKeys.") {
					return harness.Hang(ctx, call)
				}
				return nil
			})
			time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Contains(t, log.String(), "background work failed")
			require.Equal(t, first, harness.Head(t, login().Token())["kid"])
			tapped.Before(nil)
			time.Sleep(12 * time.Minute) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.NotEqual(t, first, harness.Head(t, login().Token())["kid"])
			require.NoError(t, stop())
		})
	})
}

func TestRunReminds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		var hang, hangs bool
		send := func(ctx context.Context, r reminders.Reminder) error {
			if hang {
				hangs = true
				<-ctx.Done()
				return ctx.Err()
			}
			got = append(got, r.Key.Name+" "+time.Until(r.Expires).Round(10*time.Minute).String())
			return nil
		}
		srv, err := oauth.New(memstore.New(), oauth.Config{
			Logger: quiet, Issuer: "https://a.example", Permissions: catalog,
			APIKeys: apikey.Options{RemindBefore: []time.Duration{6 * time.Hour, 2 * time.Hour}}, Reminders: send,
		})
		require.NoError(t, err)
		_, _, err = srv.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Expiry: apikey.Expiry{At: time.Now().Add(8 * time.Hour)}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Run(ctx) }()
		time.Sleep(7 * time.Hour) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		require.Equal(t, []string{"ci 6h0m0s", "ci 2h0m0s"}, got)

		hang = true
		_, _, err = srv.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "slow", Expiry: apikey.Expiry{At: time.Now().Add(time.Hour)}})
		require.NoError(t, err)
		time.Sleep(5*time.Minute + 30*time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		require.True(t, hangs)
		cancel()
		require.NoError(t, <-done, "it ends the hook and returns")
	})
}
