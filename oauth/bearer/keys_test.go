package bearer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestAnHMACKeyIsNotPrinted(t *testing.T) {
	secret := strings.Repeat("s3cr3t!!", 4)
	key := bearer.PublicKey{ID: "k", Algorithm: "HS256", Key: []byte(secret)}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", key)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", key, "in", struct{ K bearer.PublicKey }{key})
	encoded, err := json.Marshal(map[string]any{"key": key})
	require.NoError(t, err)
	texts := []string{log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, key), fmt.Sprintf(verb, &key), fmt.Sprintf(verb, struct{ K bearer.PublicKey }{key}))
	}
	for _, text := range texts {
		require.Contains(t, text, "HS256 key k")
		require.NotContains(t, text, secret[:8])
		require.NotContains(t, text, "115 51 99", "B11: bytes as numbers")
		require.NotContains(t, text, fmt.Sprintf("%x", secret[:8]))
	}
}
