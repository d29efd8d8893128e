// Package scale holds tests only: what a key takes and how long calls last in
// stores of a thousand to a million keys, what a driver adds to its database's
// own round trip, and what a cache leaves of it. See TestScale and TestCost.
package scale
