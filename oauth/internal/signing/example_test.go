package signing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
)

// A ring that makes its keys, over 31 days in which the first one is replaced by
// the next.
func ExampleRing() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ctx := context.Background()
	ring, err := signing.New(signing.Config{
		Issuer:      "https://api.example.com",
		Algorithm:   jose.ES256,
		RotateEvery: 30 * 24 * time.Hour,
		Now:         func() time.Time { return now },
		StoreClock:  func(context.Context) (time.Time, error) { return now, nil },
		CheckClock:  func(context.Context) (bool, error) { return true, nil },
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := ring.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	first := ring.Signer(ctx).Public().ID
	for _, wait := range []time.Duration{0, 30*24*time.Hour - 10*time.Minute, 10 * time.Minute, 25*time.Hour + 5*time.Minute} {
		now = now.Add(wait)
		if err := ring.Step(ctx); err != nil {
			fmt.Println(err)
			return
		}
		var published struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(ring.JWKS(ctx), &published); err != nil {
			fmt.Println(err)
			return
		}
		_, unknown := ring.Key(ctx, first)
		fmt.Printf("%s: %d published; the first key signs: %t, verifies: %t\n",
			now.Format("2 Jan 15:04"), len(published.Keys), ring.Signer(ctx).Public().ID == first, unknown == nil)
	}
	// Output:
	// 1 Mar 12:00: 1 published; the first key signs: true, verifies: true
	// 31 Mar 11:50: 2 published; the first key signs: true, verifies: true
	// 31 Mar 12:00: 2 published; the first key signs: false, verifies: true
	// 1 Apr 13:05: 1 published; the first key signs: false, verifies: false
}
