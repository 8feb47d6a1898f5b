package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// measureKeys spreads runs over 1,000 keys, of which each may have one call in
// flight, and makes one key's backlog ten times as deep as the others'.
func measureKeys(ctx context.Context, m *measurement) error {
	const keys = 1_000
	n := m.amount(30_000)
	keyed := load{name: "bench/keyed", more: func(i int) string {
		key := i % keys
		if i%100 == 0 {
			key = 0
		}
		return `"key":"k` + strconv.Itoa(key) + `",`
	}}
	before, _ := m.target.CPU()
	begin := time.Now()
	if err := m.target.sendLoad(ctx, keyed, n, 100, 2); err != nil {
		return err
	}
	if err := until(ctx, "runs", 10*time.Minute, func() bool { return int(m.app.Completed.Load()) >= n }); err != nil {
		return err
	}
	m.report("runs completed", float64(n)/time.Since(begin).Seconds(), "runs/s")
	m.cpuPer(before, n, "runs")
	m.report("calls of one key in flight, at most", float64(m.app.Keys.Most()), "")
	if most := m.app.Keys.Most(); most > 1 {
		return fmt.Errorf("%d calls of one key were in flight at once: the limit is 1", most)
	}
	return nil
}

// measureFair queues runs of a slow function and takes how long events for
// another function wait for their call meanwhile.
func measureFair(ctx context.Context, m *measurement) error {
	const rate = 50
	backlog := m.amount(100_000)
	if err := m.target.sendAll(ctx, "bench/slow", backlog, 100, 2); err != nil {
		return err
	}
	// Those events stand before the others in the stream of events: let them be
	// matched, so that what waits is runs.
	matched := func() bool {
		live, err := m.target.Gauge("jetstep_runs_live")
		return err == nil && int(live)+int(m.app.Completed.Load()) >= backlog
	}
	if err := until(ctx, "queued runs", 5*time.Minute, matched); err != nil {
		return err
	}
	n := m.amount(500)
	d := newDelays()
	called := func(data []byte) { d.end(data) }
	m.app.Called.Store(&called)
	if err := m.sendPaced(ctx, d, "bench/noop", n, rate); err != nil {
		return err
	}
	if err := until(ctx, "calls", 5*time.Minute, func() bool { return d.count() >= n }); err != nil {
		return err
	}
	left, err := m.target.Gauge("jetstep_runs_live")
	if err != nil {
		return err
	}
	m.report("runs still queued at the end", left, "runs")
	m.report("event to first call, p50", d.percentile(50), "ms")
	m.report("event to first call, p99", d.percentile(99), "ms")
	return nil
}

// measureWaits lets runs wait on one event name, each for an event with its
// own number, and then sends some of these.
func measureWaits(ctx context.Context, m *measurement) error {
	const rate = 50
	n := m.amount(100_000)
	before, _ := m.target.Memory()
	if err := m.target.sendAll(ctx, "bench/wait", n, 100, 2); err != nil {
		return err
	}
	if err := until(ctx, "first calls", 10*time.Minute, func() bool { return int(m.app.Calls.Load()) >= n }); err != nil {
		return err
	}
	if err := m.settle(ctx, n); err != nil {
		return err
	}
	after, _ := m.target.Memory()
	m.report("memory per waiting run", float64(after-before)/float64(n), "bytes")
	resumes := m.amount(1_000)
	d := newDelays()
	resumed := d.end
	m.app.Resumed.Store(&resumed)
	used, _ := m.target.CPU()
	if err := m.sendPaced(ctx, d, "bench/go", resumes, rate); err != nil {
		return err
	}
	if err := until(ctx, "resumed runs", time.Minute, func() bool { return d.count() >= resumes }); err != nil {
		return err
	}
	m.cpuPer(used, resumes, "resumed runs")
	m.report("event to resumed call, p50", d.percentile(50), "ms")
	m.report("event to resumed call, p99", d.percentile(99), "ms")
	return nil
}
