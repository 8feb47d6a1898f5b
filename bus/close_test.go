package bus

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goroutines are the stacks of those that NATS or the bus started; with a
// server of the test's own, those of servers do not count.
func goroutines(external bool) []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "jetstep/bus.Test") || external && strings.Contains(stack, "nats-server") {
			continue
		}
		if strings.Contains(stack, "jetstep/bus") || strings.Contains(stack, "nats-io") {
			found = append(found, stack)
		}
	}
	return found
}

// Not parallel: goroutines of other tests would count.
func TestCloseLeavesNothingRunning(t *testing.T) {
	n := startNATS(t, nil)
	for name, cfg := range map[string]Config{
		"embedded": {StoreDir: t.TempDir(), Partitions: 1},
		"external": {URLs: []string{n.url()}, Partitions: 1},
	} {
		external := len(cfg.URLs) > 0
		before := len(goroutines(external))
		b, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		exercise(t, b)
		_, err = b.ConsumeEvents(t.Context(), 0, 0, func(*Delivery) {})
		require.NoError(t, err)
		_, err = b.OpenLog(0)
		require.NoError(t, err)
		b.Close()
		// The client's own goroutines take a moment to notice.
		if !assert.Eventually(t, func() bool { return len(goroutines(external)) <= before }, patience, 10*time.Millisecond) {
			t.Fatalf("%s: %d before, now\n%s", name, before, strings.Join(goroutines(external), "\n\n"))
		}
	}
}

// Open closes what it opened when a later part fails; Close then has only
// some of it.
func TestCloseOfAPartlyOpenedBus(t *testing.T) {
	t.Parallel()
	full := openEmbedded(t)
	for name, b := range map[string]*Bus{
		"nothing":      {},
		"a connection": {control: dialed(t, full)},
		"two":          {control: dialed(t, full), logs: dialed(t, full)},
	} {
		require.NotPanics(t, b.Close, name)
	}
	full.Close()
	require.NotPanics(t, full.Close, "closing twice")
}

func dialed(t *testing.T, b *Bus) *link {
	t.Helper()
	l, err := b.dial(func(error) {})
	require.NoError(t, err)
	return l
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	l := openLog(t, b)
	silence(t, b)
	published := make(chan error, 1)
	go func() { published <- b.Publish(context.Background(), numbered(1)) }()
	eventually(t, func() bool {
		p := b.publisher.Load()
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.calls) == 1
	}, "the call is under way")
	appended := make(chan error, 1)
	l.fail(ErrLogUnknown)
	l.Append("_", nil, func(_ uint64, err error) { appended <- err })
	b.Close()
	require.ErrorIs(t, wait(t, published), errBusClosed)
	require.ErrorIs(t, wait(t, appended), ErrLogUnknown)
}
