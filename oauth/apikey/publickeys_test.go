package apikey_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestParsedPublicKeysAreBounded tests that later public keys are remembered although there
// were too many before.
func TestParsedPublicKeysAreBounded(t *testing.T) {
	var keys apikey.PublicKeys
	for n := range apikey.MaxPublicKeysParsed + 10 {
		text, _ := jwkOf(map[string]any{"kid": fmt.Sprint(n)})
		require.NoError(t, keys.Parse(text))
		require.True(t, keys.Has(text))
	}
	require.Error(t, keys.Parse("{}"))
	require.False(t, keys.Has("{}"))
	require.Equal(t, 10, keys.Len())
}
