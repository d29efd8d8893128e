package reminders_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestNewNeedsAllThree(t *testing.T) {
	r := newRig(t)
	send := func(context.Context, reminders.Reminder) error { return nil }
	without := r.store
	without.OnceIDs = nil
	for name, try := range map[string]func() (*reminders.Sender, error){
		"OnceIDs": func() (*reminders.Sender, error) { return reminders.New(without, r.Service, send) },
		"keys":    func() (*reminders.Sender, error) { return reminders.New(r.store, nil, send) },
		"send":    func() (*reminders.Sender, error) { return reminders.New(r.store, r.Service, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try()
			require.Error(t, err)
		})
	}
	_, err := reminders.New(r.store, r.Service, send)
	require.NoError(t, err)
}

// TestRemindStops tests that no further reminder is sent when the caller's context
// ends, and that the interrupted scan of all keys is made again.
func TestRemindStops(t *testing.T) {
	for name, rules := range map[string]store.Rules{"expiring": {}, "by rules": {MaxLifetime: 10 * day, EnforcedFrom: noon}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			sent := 0
			r := newRig(t, func(s *setup) {
				s.send = func(context.Context, reminders.Reminder) error {
					sent++
					cancel()
					return nil
				}
			})
			expiry := 10 * day
			if rules != (store.Rules{}) {
				expiry = 0
			}
			for range 3 {
				r.expiring("ci", expiry)
			}
			r.rules("", rules)
			require.ErrorIs(t, r.Remind(ctx), context.Canceled)
			require.Equal(t, 1, sent)
			r.clock.Advance(5 * time.Minute)
			require.NoError(t, r.Remind(t.Context()))
			require.Equal(t, 3, sent)
		})
	}
}

// TestSettingsUnreadWhenSent tests that it is an error if settings cannot be read
// right before a reminder is sent, and that the reminder is sent later.
func TestSettingsUnreadWhenSent(t *testing.T) {
	var in inbox
	reads := 0
	r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
		if reads++; reads == 2 {
			return store.ErrUnavailable
		}
		return nil
	}, "Settings.Instance"), in.config)
	r.expiring("ci", 10*day)
	reads = 0
	require.ErrorIs(t, r.Remind(t.Context()), store.ErrUnavailable)
	require.Empty(t, in.got)
	r.clock.Advance(5 * time.Minute)
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.got, 1)
}

func TestSkippedRemindersAreBounded(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	require.LessOrEqual(t, r.SkipReminders(reminders.MaxSkipped+10, noon.Add(day)), reminders.MaxSkipped)
}
