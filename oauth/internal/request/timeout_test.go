package request_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

func TestTimeout(t *testing.T) {
	for bound, ok := range map[time.Duration]bool{
		0: true, 10 * time.Millisecond: true, 5 * time.Minute: true,
		-time.Second: false, 10*time.Millisecond - 1: false, 5*time.Minute + 1: false,
	} {
		_, err := request.Timeout(bound)
		require.Equal(t, ok, err == nil, bound)
	}
}
