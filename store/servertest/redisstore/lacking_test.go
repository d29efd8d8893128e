package redisstore_test

// lacking are the rules of the contract that the driver does not keep yet. A
// change and what it rests on may lie in different slots, so that they are not
// one step.
var (
	lacking         = []string{"Preconditions/B27 nothing outruns a change"}
	lackingReplicas = []string{"B27 nothing outruns a change"}
)
