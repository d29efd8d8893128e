//go:build !unix

package scale_test

import "time"

// processorTime is not known here: only wall time is compared.
func processorTime() time.Duration { return 0 }
