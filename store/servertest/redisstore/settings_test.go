package redisstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// Settings of before there were reminders are read as they are, and what
// cannot be read is an error.
func TestSettingsRecord(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	ctx := t.Context()
	before := store.Instance{KeysOff: true, Rules: store.Rules{MaxKeys: 7, EnforcedFrom: noon}, Updated: noon, Version: 1}
	require.NoError(t, client.HSet(ctx, prefix+":{i}:settings", "version", "1", "epoch", "0",
		"body", fmt.Sprintf("%d 1 7 0 0 %d", noon.UnixMicro(), noon.UnixMicro())).Err())
	got, err := s.Settings.Instance(ctx)
	require.NoError(t, err)
	require.Equal(t, before, got)
	for _, words := range []string{" 0 soon", " 0 1,x", " 0 1,2,3,4,5,6,7,8,9"} {
		require.NoError(t, client.HSet(ctx, prefix+":{i}:settings", "body", fmt.Sprintf("%d 1 7 0 0 %d", noon.UnixMicro(), noon.UnixMicro())+words).Err())
		_, err = s.Settings.Instance(ctx)
		require.ErrorContains(t, err, "cannot be read", words)
	}
}
