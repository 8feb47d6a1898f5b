package bench

import (
	"context"
	"fmt"
	"time"
)

// napFor is how long a nap takes.
const napFor = 5 * time.Second

func measureSleep(ctx context.Context, m *measurement, n int) error {
	n = m.amount(n)
	// Fill what is bounded anyway (the history of ended runs and of events, the
	// buffers of NATS), so that only the sleeping runs make a difference.
	warm := m.amount(60_000)
	if err := m.target.sendAll(ctx, "bench/noop", warm, 100, 2); err != nil {
		return err
	}
	if err := until(ctx, "warm-up runs", 5*time.Minute, func() bool { return int(m.app.Completed.Load()) >= warm }); err != nil {
		return err
	}
	if err := m.settle(ctx, 0); err != nil {
		return err
	}
	before, _ := m.target.Memory()
	if err := m.target.sendAll(ctx, "bench/sleep", n, 100, 2); err != nil {
		return err
	}
	if err := until(ctx, "first calls", 10*time.Minute, func() bool { return int(m.app.Calls.Load()) >= warm+n }); err != nil {
		return err
	}
	if err := m.settle(ctx, n); err != nil {
		return err
	}
	after, peak := m.target.Memory()
	m.report("memory per sleeping run", float64(after-before)/float64(n), "bytes")
	m.report("memory of all sleeping runs", float64(after-before)/(1<<20), "MiB")
	m.report("peak memory", float64(peak)/(1<<20), "MiB")
	if err := m.target.Kill(); err != nil {
		return err
	}
	took, err := m.target.Restart(ctx, "/ready")
	if err != nil {
		return err
	}
	m.report("recovery after kill -9", float64(took.Milliseconds()), "ms")
	if err := m.settle(ctx, n); err != nil {
		return fmt.Errorf("after recovery: %w", err)
	}
	return m.measureNaps(ctx)
}

// measureNaps takes how much later than asked for sleeping runs are called
// again. The time that a call's answer takes to the server counts as lateness.
func (m *measurement) measureNaps(ctx context.Context) error {
	const rate = 100
	n := m.amount(2_000)
	sent, late := newDelays(), newDelays()
	called := func(data []byte) {
		if i, ok := eventNumber(data); ok {
			late.begin(i, time.Now().Add(napFor))
		}
	}
	resumed := late.end
	m.app.Called.Store(&called)
	m.app.Resumed.Store(&resumed)
	if err := m.sendPaced(ctx, sent, "bench/nap", n, rate); err != nil {
		return err
	}
	if err := until(ctx, "ends of naps", time.Minute, func() bool { return late.count() >= n }); err != nil {
		return err
	}
	m.report("wake-up lateness, p50", late.percentile(50), "ms")
	m.report("wake-up lateness, p99", late.percentile(99), "ms")
	return nil
}

// settle waits until so many jobs are queued and the memory stays as it is.
func (m *measurement) settle(ctx context.Context, jobs int) error {
	var failed error
	err := until(ctx, fmt.Sprintf("%d queued jobs", jobs), 10*time.Minute, func() bool {
		depth, err := m.target.Gauge("inngest_queue_depth")
		failed = err
		return err == nil && int(depth) >= jobs
	})
	if err != nil {
		return fmt.Errorf("%w (%w)", err, failed)
	}
	return m.calm(ctx)
}

// calm waits until the server has given back the memory that it does not need:
// until it has not become smaller for a while.
func (m *measurement) calm(ctx context.Context) error {
	least, _ := m.target.Memory()
	quiet := 0
	for quiet < 6 {
		select {
		case <-time.After(4 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		now, _ := m.target.Memory()
		if quiet++; now < least-least/50 {
			quiet = 0
		}
		least = min(least, now)
	}
	return nil
}
