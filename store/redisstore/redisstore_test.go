package redisstore_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, newStore)
}
