//go:build !unix

package oauth_test

import "time"

// processorTime is not available on this system: only the wall time is compared.
func processorTime() time.Duration { return 0 }
