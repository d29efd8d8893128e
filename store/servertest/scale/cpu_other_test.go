//go:build !unix

package scale_test

import "time"

// processorTime is not available on this system. Only elapsed time is compared.
func processorTime() time.Duration { return 0 }
