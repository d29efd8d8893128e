//go:build !race

package oauth_test

// raced is true under the race detector, which allocates itself and slows
// locks down.
const raced = false
