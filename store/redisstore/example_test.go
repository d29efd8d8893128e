package redisstore_test

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The host makes the client: for one server, for failover by Sentinel
// (redis.NewFailoverClient) or for a Cluster (redis.NewClusterClient).
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis.example.com:6379", ContextTimeoutEnabled: true, DialerRetries: 1})
	driver, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := driver.Store()
	fmt.Println(s.Keys != nil, s.Limiter != nil, s.SigningKeys.Durable(), s.Epochs != nil)

	// Nothing has been sent so far. New checks the client's options.
	_, err = redisstore.New(redis.NewClient(&redis.Options{ReadTimeout: time.Second}), redisstore.Config{Prefix: "{}"})
	fmt.Println(err)
	// Output:
	// true true true true
	// redisstore: client: the option ContextTimeoutEnabled must be set
	// Config.Prefix: must be 1 to 64 letters, digits and any of "-_.:/"
}
