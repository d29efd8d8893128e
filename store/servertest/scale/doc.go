// Package scale contains only tests: the size of a key and the duration of calls in stores
// of a thousand to a million keys, the time that a driver adds to its database's round
// trip, and the cost of a login with a cache. See TestScale, TestCost and TestCached.
package scale
