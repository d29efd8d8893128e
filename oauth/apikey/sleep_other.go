//go:build !linux

package apikey

import "time"

// sleep waits; elsewhere Go's timers are exact enough.
func sleep(d time.Duration) { time.Sleep(d) }
