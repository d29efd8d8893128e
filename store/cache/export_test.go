package cache

// Within is tried by itself: a test cannot stop one of its two clocks.
var Within = within
