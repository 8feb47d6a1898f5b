package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// sampleEvents are n events of about 200 bytes.
func sampleEvents(n int) []*Event {
	data := json.RawMessage(`{"text":"` + strings.Repeat("x", 100) + `"}`)
	events := make([]*Event, n)
	for i := range events {
		id := ulid.Make()
		events[i] = &Event{InternalID: id, ID: id.String(), Name: "app/user.created", Data: data, TS: 1_700_000_000_000}
	}
	return events
}

func openBench(b *testing.B) *Bus {
	b.Helper()
	bus, err := Open(context.Background(), Config{StoreDir: b.TempDir(), Partitions: 1})
	require.NoError(b, err)
	b.Cleanup(bus.Close)
	return bus
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 8, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			bus := openBench(b)
			events := sampleEvents(n)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, bus.Publish(context.Background(), events))
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// appendRecords appends n records of 200 bytes, at most window at once.
func appendRecords(tb testing.TB, l *Log, n, window int) {
	tb.Helper()
	data := []byte(strings.Repeat("r", 200))
	room := make(chan struct{}, window)
	var failed error
	var done sync.WaitGroup
	for range n {
		room <- struct{}{}
		done.Add(1)
		l.Append("01K00000000000000000000000", data, func(_ uint64, err error) {
			if err != nil {
				failed = err
			}
			<-room
			done.Done()
		})
	}
	done.Wait()
	require.NoError(tb, failed)
}

func ignoreRecord(uint64, []byte) error { return nil }

func BenchmarkLogAppend(b *testing.B) {
	for _, window := range []int{1, 4, 1024} {
		b.Run(fmt.Sprintf("inflight=%d", window), func(b *testing.B) {
			l, err := openBench(b).OpenLog(0)
			require.NoError(b, err)
			require.NoError(b, l.Replay(context.Background(), ignoreRecord))
			b.ReportAllocs()
			b.ResetTimer()
			appendRecords(b, l, b.N, window)
		})
	}
}

func BenchmarkLogReplay(b *testing.B) {
	const records = 200_000
	l, err := openBench(b).OpenLog(0)
	require.NoError(b, err)
	require.NoError(b, l.Replay(context.Background(), ignoreRecord))
	appendRecords(b, l, records, 1024)
	for b.Loop() {
		n := 0
		require.NoError(b, l.Replay(context.Background(), func(uint64, []byte) error { n++; return nil }))
		require.Equal(b, records, n)
	}
	b.ReportMetric(float64(b.N*records)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkConsumeEvents(b *testing.B) {
	const events = 200_000
	bus := openBench(b)
	for range events / 1000 {
		require.NoError(b, bus.Publish(context.Background(), sampleEvents(1000)))
	}
	for b.Loop() {
		n, all := 0, make(chan struct{})
		stop, err := bus.ConsumeEvents(context.Background(), 0, 0, func(*Delivery) {
			if n++; n == events {
				close(all)
			}
		})
		require.NoError(b, err)
		<-all
		stop()
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkDelivery measures from the call of Publish to the handler, at 50
// events a second.
func BenchmarkDelivery(b *testing.B) {
	bus := openBench(b)
	delivered := make(chan time.Time, 1)
	stop, err := bus.ConsumeEvents(context.Background(), 0, 0, func(*Delivery) { delivered <- time.Now() })
	require.NoError(b, err)
	defer stop()
	var took []time.Duration
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for b.Loop() {
		<-pace.C
		start := time.Now()
		require.NoError(b, bus.Publish(context.Background(), sampleEvents(1)))
		took = append(took, (<-delivered).Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
