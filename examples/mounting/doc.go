// Package mounting shows Latchkey on chi, Gin and Echo. It is all tests: read
// onChi, onGin and onEcho for how to mount the routes and guard your own.
package mounting
