package bus

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// startCluster starts three servers that know each other.
func startCluster(t *testing.T) []*natsServer {
	t.Helper()
	if testing.Short() {
		t.Skip("three servers")
	}
	// Each must know the others' ports before any has started.
	var ports []int
	var routes []*url.URL
	for range 3 {
		port, err := harness.FreePort()
		require.NoError(t, err)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(port)})
	}
	var servers []*natsServer
	for i, port := range ports {
		servers = append(servers, startNATS(t, func(o *server.Options) {
			o.ServerName = "n" + strconv.Itoa(i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = routes
		}))
	}
	eventually(t, func() bool {
		for _, n := range servers {
			if n.srv.JetStreamIsLeader() {
				return len(n.srv.JetStreamClusterPeers()) == 3
			}
		}
		return false
	}, "the cluster has a leader")
	return servers
}

// openReplicated opens a bus on streams of three replicas.
func openReplicated(servers []*natsServer) *Bus {
	return servers[0].open(func(c *Config) {
		c.Replicas = 3
		for _, n := range servers[1:] {
			c.URLs = append(c.URLs, n.url())
		}
	})
}

func TestClusterLogWritersExcludeEachOther(t *testing.T) {
	t.Parallel()
	fight(t, openReplicated(startCluster(t)), 40, true)
}

// With three replicas the loss of the node that leads loses nothing that was
// acknowledged, and everything goes on.
func TestClusterLosesANode(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	b := openReplicated(servers)
	info, err := b.findStream(t.Context(), logStream(0))
	require.NoError(t, err)
	require.Equal(t, 3, info.Config.Replicas)

	accepted := map[int]bool{}
	n := 0
	publish := func() bool {
		n++
		if b.Publish(t.Context(), []*Event{event("app/n", n)}) != nil {
			return false
		}
		accepted[n] = true
		return true
	}
	var kept []string
	var l *Log
	appended := func() bool {
		if l == nil {
			opened, err := b.OpenLog(0)
			if err != nil || opened.Replay(t.Context(), ignoreRecord) != nil {
				return false
			}
			l = opened
		}
		n++
		done := make(chan error, 1)
		l.Append("_", []byte(strconv.Itoa(n)), func(_ uint64, err error) { done <- err })
		eventually(t, func() bool { return len(done) > 0 || l.Stalled(apiTimeout) }, "it is stored or it stalls")
		if <-done != nil {
			l.Close()
			l = nil
			return false
		}
		kept = append(kept, strconv.Itoa(n))
		return true
	}
	for range 50 {
		require.True(t, publish())
		require.True(t, appended())
	}
	// Pipelining is not refused by a cluster either.
	appendRecords(t, l, 200, 64)

	for _, s := range servers {
		if s.opts.ServerName == info.Cluster.Leader {
			s.stop()
		}
	}
	for range 20 {
		eventually(t, publish, "publishing goes on")
		eventually(t, appended, "appending goes on")
	}

	seen := map[int]bool{}
	for _, d := range storedEvents(t, b) {
		seen[number(t, d)] = true
	}
	for n := range accepted {
		require.True(t, seen[n], "event %d", n)
	}
	at := 0
	for _, record := range records(t, b) {
		if at < len(kept) && string(record) == kept[at] {
			at++
		}
	}
	require.Equal(t, len(kept), at, "records in order")
}
