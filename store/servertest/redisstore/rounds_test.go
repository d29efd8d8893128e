package redisstore_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A notice that is late in one round is lost if it is not there at the end of the next.
// So the next round does not follow at once, however long one took.
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
