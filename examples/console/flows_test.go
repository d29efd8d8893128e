package console_test

import "github.com/latchkey-go/latchkey/oauth/apikey"

var shortExpiry = apikey.ExpiresAt(noon.AddDate(0, 1, 0))
