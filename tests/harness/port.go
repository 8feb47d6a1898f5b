package harness

import (
	"fmt"
	"net"
	"sync"
)

var ports struct {
	sync.Mutex
	given map[int]bool
}

// FreePort returns a TCP port of the loopback interface that was free a moment
// ago and that it has not returned before.
func FreePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("looking for a free port: %w", err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return 0, err
		}
		if !ports.given[port] {
			ports.given[port] = true
			return port, nil
		}
	}
}
