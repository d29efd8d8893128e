package redisstore_test

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The client is the host's own: one server, failover by Sentinel
// (redis.NewFailoverClient) or a Cluster (redis.NewClusterClient).
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis.example.com:6379", ContextTimeoutEnabled: true, DialerRetries: 1})
	driver, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := driver.Store()
	fmt.Println(s.Keys != nil, s.Limiter != nil, s.SigningKeys.Durable(), s.Epochs != nil)

	// Nothing was sent so far. What New can tell from the client it tells.
	_, err = redisstore.New(redis.NewClient(&redis.Options{ReadTimeout: time.Second}), redisstore.Config{Prefix: "{}"})
	fmt.Println(err)
	// Output:
	// true true true true
	// redisstore: client: its option ContextTimeoutEnabled must be set
	// Config.Prefix: 1 to 64 letters, digits and any of "-_.:/"
}
