//go:build race

package scale_test

// raced is true if the race detector is on, which allocates memory and makes locks
// slower.
const raced = true
