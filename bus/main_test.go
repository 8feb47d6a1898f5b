package bus

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// childEnv names what a test process that another test started is to do.
const childEnv = "JETSTEP_BUS_TEST_CHILD"

func TestMain(m *testing.M) {
	if task, ok := children[os.Getenv(childEnv)]; ok {
		task()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// children are the tasks of child processes by name.
var children = map[string]func(){}

// patience bounds waits for what should happen soon.
const patience = 20 * time.Second

// open opens a bus that is closed with the test.
func open(t testing.TB, cfg Config) *Bus {
	t.Helper()
	b, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

// openEmbedded opens a bus with one partition on a store of its own.
func openEmbedded(t testing.TB) *Bus {
	t.Helper()
	return open(t, Config{StoreDir: t.TempDir(), Partitions: 1})
}

// natsServer is an external NATS that a test starts, stops and starts again
// at the same address.
type natsServer struct {
	t    testing.TB
	opts server.Options
	srv  *server.Server
}

// startNATS starts a server with JetStream on a free port.
func startNATS(t testing.TB, change func(*server.Options)) *natsServer {
	t.Helper()
	port, err := harness.FreePort() // it is used again after a restart
	require.NoError(t, err)
	n := &natsServer{t: t, opts: server.Options{
		ServerName: "external", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(),
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 40,
	}}
	if change != nil {
		change(&n.opts)
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	opts := n.opts
	srv, err := server.NewServer(&opts)
	require.NoError(n.t, err)
	srv.Start()
	require.True(n.t, srv.ReadyForConnections(patience))
	n.srv = srv
}

func (n *natsServer) stop() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
}

func (n *natsServer) restart() {
	n.stop()
	n.start()
}

func (n *natsServer) url() string { return "nats://127.0.0.1:" + strconv.Itoa(n.opts.Port) }

// openExternal opens a bus with one partition on the server.
func (n *natsServer) open(change func(*Config)) *Bus {
	n.t.Helper()
	cfg := Config{URLs: []string{n.url()}, Partitions: 1}
	if change != nil {
		change(&cfg)
	}
	return open(n.t, cfg)
}

// event makes an event of that name whose data holds n.
func event(name string, n int) *Event {
	id := ulid.Make()
	return &Event{
		InternalID: id, ID: id.String(), Name: name, TS: 1_700_000_000_000,
		Data: json.RawMessage(`{"n":` + strconv.Itoa(n) + `}`),
	}
}

// numbered makes events app/n with data 0 … n-1.
func numbered(n int) []*Event {
	events := make([]*Event, n)
	for i := range events {
		events[i] = event("app/n", i)
	}
	return events
}

// number reads what event put into the data.
func number(t testing.TB, d *Delivery) int {
	t.Helper()
	e, err := d.Event()
	require.NoError(t, err)
	var data struct{ N int }
	require.NoError(t, json.Unmarshal(e.Data, &data))
	return data.N
}

// storedEvents are all events of a bus with one partition.
func storedEvents(t testing.TB, b *Bus) []*Delivery {
	t.Helper()
	return deliveredAfter(t, b, 0)
}

// deliveredAfter are those with a higher sequence.
func deliveredAfter(t testing.TB, b *Bus, after uint64) []*Delivery {
	t.Helper()
	info, err := b.findStream(t.Context(), eventsStream)
	require.NoError(t, err)
	if info.State.Msgs == 0 || info.State.LastSeq <= after {
		return nil
	}
	var found []*Delivery
	done := make(chan struct{})
	stop, err := b.ConsumeEvents(t.Context(), 0, after, func(d *Delivery) {
		found = append(found, d)
		if d.Seq == info.State.LastSeq {
			close(done)
		}
	})
	require.NoError(t, err)
	defer stop()
	wait(t, done)
	return found
}

// wait waits for a channel to be closed or to give something.
func wait[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "waited in vain")
		panic("not reached")
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}
