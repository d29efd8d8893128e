package request_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// The context of a login behaves like that of context.WithTimeout, before and after
// the first wait for it.
func TestDeadline(t *testing.T) {
	type key struct{}
	hungUp := errors.New("the caller hung up")
	for name, what := range map[string]struct {
		after  time.Duration
		cancel bool // the parent, after that time
		stop   bool // the context, after that time
		err    error
		cause  error
	}{
		"before its end":                       {after: time.Second - 1},
		"at its end":                           {after: time.Second, err: context.DeadlineExceeded, cause: context.DeadlineExceeded},
		"long after its end":                   {after: time.Hour, err: context.DeadlineExceeded, cause: context.DeadlineExceeded},
		"stopped":                              {stop: true, err: context.Canceled, cause: context.Canceled},
		"canceled by the caller":               {cancel: true, err: context.Canceled, cause: hungUp},
		"canceled by the caller, then stopped": {cancel: true, stop: true, err: context.Canceled, cause: hungUp},
	} {
		for _, waits := range []bool{true, false} {
			t.Run(map[bool]string{true: name + ", waited for", false: name + ", asked"}[waits], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "kept"))
					defer cancel(nil)
					ctx := request.WithTimeout(parent, time.Second)
					defer ctx.Stop()
					end := time.Now().Add(time.Second)
					if waits {
						require.NotNil(t, ctx.Done())
					}
					require.NoError(t, ctx.Err())
					<-time.After(what.after) // of the clock in the bubble
					if what.cancel {
						cancel(hungUp)
					}
					if what.stop {
						ctx.Stop()
					}
					synctest.Wait()
					require.Equal(t, what.err, ctx.Err())
					require.Equal(t, "kept", ctx.Value(key{}))
					if waits {
						require.Equal(t, what.cause, context.Cause(ctx))
					}
					select {
					case <-ctx.Done():
						require.Error(t, what.err)
					default:
						require.NoError(t, what.err)
					}
					require.Equal(t, what.err, ctx.Err(), "the same after the first wait")
					require.Equal(t, what.cause, context.Cause(ctx))
					at, ok := ctx.Deadline()
					require.True(t, ok)
					require.Equal(t, end, at)
				})
			})
		}
	}
}

// A child context ends with it, and starts no goroutine of its own.
func TestDeadlineEndsItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := request.WithTimeout(t.Context(), time.Second)
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		ctx.Stop()
		synctest.Wait()
		require.ErrorIs(t, child.Err(), context.Canceled)

		ctx = request.WithTimeout(t.Context(), time.Second)
		defer ctx.Stop()
		child, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
		<-child.Done()
		require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
	})
	early, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx := request.WithTimeout(early, time.Hour)
	defer ctx.Stop()
	want, _ := early.Deadline()
	at, _ := ctx.Deadline()
	require.Equal(t, want, at)
}
