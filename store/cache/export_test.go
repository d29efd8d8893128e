package cache

// Within is tested separately, since a test cannot stop only one of its two clocks.
var Within = within
