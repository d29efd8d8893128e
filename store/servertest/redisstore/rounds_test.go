package redisstore_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A notification that is late in one round counts as lost if it has not arrived by the end
// of the next. So there is a pause between rounds, also after a long round.
func TestALongRound(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s, h := dying(t, prefix, 1_000_000)
	var rounds atomic.Int64
	rounds.Store(-1_000_000)
	held, released, next := make(chan struct{}), make(chan struct{}), make(chan time.Time, 1)
	h.before = func(int64) {
		switch rounds.Add(1) {
		case 1:
			close(held)
			<-released
		case 2:
			next <- time.Now()
		}
	}
	listen(t, s)
	rounds.Store(0)
	<-held
	other := listen(t, newDriver(t, client, redisstore.Config{Prefix: prefix}).Store())
	for range 3 { // rounds of another stream
		other.next(t)
	}
	begun := time.Now()
	close(released)
	require.GreaterOrEqual(t, (<-next).Sub(begun), 100*time.Millisecond)
}
