package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

func TestExpiryThatContradictsItself(t *testing.T) {
	r := newRig(t)
	right := mustExpiry(apikey.ParseExpiry("2027-01-31"))
	for name, expiry := range map[string]apikey.Expiry{
		"another day": {At: right.At, Date: "2027-02-01"},
		"no date":     {At: right.At, Date: "2027-02-01T00:00:00Z"},
		"never":       {Date: "2027-01-31"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = expiry })
			require.ErrorAs(t, err, new(*apikey.InvalidError))
		})
	}
	_, _, err := r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = right })
	require.NoError(t, err)
}

func mustExpiry(v apikey.Expiry, err error) apikey.Expiry {
	if err != nil {
		panic(err)
	}
	return v
}

func TestExpiryBeyondTheCalendar(t *testing.T) {
	r := newRig(t)
	at := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, _, err := r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry.At = at })
	require.ErrorAs(t, err, new(*apikey.InvalidError))
	_, _, err = r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry.At = at.Add(-time.Microsecond) })
	require.NoError(t, err)
}
