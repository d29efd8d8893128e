package jose_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestKeysAreNotPrinted(t *testing.T) {
	secret := strings.Repeat("s3cr3t!!", 4)
	signer, err := jose.NewSigner(jose.HS256, "k", []byte(secret))
	require.NoError(t, err)
	for name, value := range map[string]any{
		"PublicKey": signer.Public(), "Signer": signer,
		"in a struct": struct{ K jose.PublicKey }{signer.Public()}, "in a slice": []jose.PublicKey{signer.Public()},
	} {
		t.Run("B11 "+name, func(t *testing.T) {
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", value)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", value)
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			texts := []string{log.String(), string(encoded)}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				texts = append(texts, fmt.Sprintf(verb, value))
			}
			for _, text := range texts {
				require.NotContains(t, text, secret[:8])
				require.NotContains(t, text, "115 51 99", "bytes as numbers")
				require.NotContains(t, text, fmt.Sprintf("%x", secret[:8]))
			}
		})
	}
	require.Equal(t, "no key", fmt.Sprint((*jose.Signer)(nil)))
}
