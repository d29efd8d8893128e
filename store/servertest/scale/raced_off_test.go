//go:build !race

package scale_test

// raced is true under the race detector, which allocates itself and slows
// locks down.
const raced = false
