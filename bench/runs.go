package bench

import (
	"context"
	"time"
)

// measureRuns makes n runs of a function, as fast as the server goes or at the
// rate that was asked for.
func measureRuns(ctx context.Context, m *measurement, fn string, n int) error {
	warm := m.amount(1_000)
	if err := m.target.sendAll(ctx, "bench/"+fn, warm, 100, 2); err != nil {
		return err
	}
	if err := until(ctx, "warm-up runs", time.Minute, func() bool { return int(m.app.Completed.Load()) >= warm }); err != nil {
		return err
	}
	n = m.amount(n)
	send := func() error { return m.target.sendAll(ctx, "bench/"+fn, n, 100, 2) }
	if m.rate > 0 {
		n = m.amount(int(offeredFor.Seconds()) * m.rate)
		send = func() error { return m.offer(ctx, "bench/"+fn, n) }
	}
	calls := m.app.Calls.Load()
	before, _ := m.target.CPU()
	stopWatching := m.watchProjection(ctx)
	begin := time.Now()
	if err := send(); err != nil {
		return err
	}
	if err := until(ctx, "runs", 10*time.Minute, func() bool { return int(m.app.Completed.Load()) >= warm+n }); err != nil {
		return err
	}
	took := time.Since(begin)
	m.report("runs completed", float64(n)/took.Seconds(), "runs/s")
	m.report("calls of the SDK", float64(m.app.Calls.Load()-calls)/took.Seconds(), "calls/s")
	m.cpuPer(before, n, "runs")
	_, peak := m.target.Memory()
	if peak > 0 {
		m.report("peak memory", float64(peak)/(1<<20), "MiB")
	}
	if err := stopWatching(); err != nil {
		return err
	}
	return m.reportProjection(ctx)
}

const (
	// offeredFor is how long a rate is offered, at scale 1.
	offeredFor = 30 * time.Second
	// offerEvery is how often events are sent meanwhile.
	offerEvery = 10 * time.Millisecond
)

// offer sends n events at the rate that was asked for, those that are due
// together. It reports how many runs were under way at most: of a server that
// keeps up, few.
func (m *measurement) offer(ctx context.Context, name string, n int) error {
	pace := time.NewTicker(offerEvery)
	defer pace.Stop()
	begin, done := time.Now(), int(m.app.Completed.Load())
	most := 0
	for sent := 0; sent < n; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
		due := min(n, int(time.Since(begin).Seconds()*float64(m.rate)))
		if due == sent {
			continue
		}
		if err := m.target.sendAll(ctx, name, due-sent, 100, 2); err != nil {
			return err
		}
		sent = due
		most = max(most, sent+done-int(m.app.Completed.Load()))
	}
	m.report("runs offered", float64(n)/time.Since(begin).Seconds(), "runs/s")
	m.report("runs under way, at most", float64(most), "")
	return nil
}
