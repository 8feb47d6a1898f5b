package appsync

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Where apps are looked for (sdk-protocol §5.1).
var (
	usualPorts = []int{80, 443, 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 4321, 5000, 5173,
		8000, 8080, 8081, 8787, 8888, 8910, 8911, 8912, 8913, 8914, 8915}
	usualPaths = []string{"/api/inngest", "/x/inngest", "/.netlify/functions/inngest", "/.redwood/functions/inngest"}
)

// probeTimeout bounds connecting to a port, and each request to it.
const probeTimeout = 2 * time.Second

// discover looks for apps on local ports until one app is known, however it
// became known; from then on it never looks again (cli-config §14).
func (s *Syncer) discover(ctx context.Context) error {
	if !s.cfg.Discover || s.discovered {
		return nil
	}
	if len(s.cfg.Registry.Catalog().Apps) > 0 {
		s.discovered = true
		return nil
	}
	for _, url := range s.scan(ctx) {
		s.log.Info("app found", "url", url)
		s.discoveredAt(url)
		if err := s.addPlaceholder(ctx, url); err != nil {
			return err
		}
		s.discovered = true
	}
	return nil
}

// scan returns the URLs of apps on local ports, in the order of the ports.
func (s *Syncer) scan(ctx context.Context) []string {
	ports := append(append([]int{}, usualPorts...), s.cfg.Ports...)
	found := make([]string, len(ports))
	var probes sync.WaitGroup
	for i, port := range ports {
		probes.Go(func() { found[i] = s.probePort(ctx, port) })
	}
	probes.Wait()
	var urls []string
	for _, url := range found {
		if url != "" {
			urls = append(urls, url)
		}
	}
	return urls
}

// probePort returns the URL of the app on a local port, "" if there is none.
func (s *Syncer) probePort(ctx context.Context, port int) string {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dialing, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := s.cfg.Dial(dialing, "tcp", address)
	if err != nil {
		return ""
	}
	_ = conn.Close() // only whether it opens matters
	for _, path := range usualPaths {
		url := localURL(port, path)
		if _, err := s.Introspect(ctx, url); err == nil {
			return url
		}
	}
	return ""
}

// localURL is in the normal form of app URLs.
func localURL(port int, path string) string {
	switch port {
	case 80:
		return "http://localhost" + path
	case 443:
		return "https://localhost" + path
	}
	return "http://localhost:" + strconv.Itoa(port) + path
}

// Introspection is what an SDK says of itself when asked with GET.
type Introspection struct {
	SDK    string // such as "inngest-js:v4.24.0"
	Status int    // of HTTP: an SDK may refuse and still be one
	Body   []byte
}

// Introspect asks what is at url. It fails if nothing answers in time, or
// something that is not an SDK: only its header tells (sdk-protocol §2).
func (s *Syncer) Introspect(ctx context.Context, url string) (Introspection, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Introspection{}, fmt.Errorf("introspect %s: %w", url, err)
	}
	answer, err := s.send(req, nil)
	if err != nil {
		return Introspection{}, fmt.Errorf("introspect %s: %w", url, err)
	}
	sdk := answer.header.Get(headerSDK)
	if sdk == "" {
		return Introspection{}, fmt.Errorf("introspect %s: no SDK answers there", url)
	}
	return Introspection{SDK: sdk, Status: answer.status, Body: answer.body}, nil
}
