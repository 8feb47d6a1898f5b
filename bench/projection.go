package bench

import (
	"context"
	"errors"
	"time"
)

// The metrics of how far the database is behind, by stream.
const (
	lagMessages = "jetstep_projection_lag_messages"
	lagSeconds  = "jetstep_projection_lag_seconds"
)

const (
	// projectionPatience bounds the wait for the database to catch up: it may be
	// one that is not there, with which the speed without it is measured.
	projectionPatience = time.Minute
	// settled is for how long nothing has to be behind: what was written last is
	// noticed a batch later.
	settled = 300 * time.Millisecond
	// lagEvery is how often the lag is looked at during a load.
	lagEvery = 500 * time.Millisecond
)

// lag is how far the database was behind at most, in messages of all streams and
// by the age of the oldest of them.
type lag struct {
	messages, seconds float64
	err               error
}

// watchProjection looks at the lag until stop is called, which reports it. A
// server without a projection has none.
func (m *measurement) watchProjection(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	most := make(chan lag, 1)
	go func() { most <- m.watchLag(ctx) }()
	return func() error {
		cancel()
		l := <-most
		switch {
		case errors.Is(l.err, errNoMetric):
			return nil
		case l.err != nil:
			return l.err
		}
		m.report("messages behind, at most", l.messages, "")
		m.report("behind, at most", l.seconds, "s")
		return nil
	}
}

func (m *measurement) watchLag(ctx context.Context) (most lag) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		messages, err := m.target.Sum(lagMessages)
		if err != nil {
			return lag{err: err}
		}
		seconds, err := m.target.Max(lagSeconds)
		if err != nil {
			return lag{err: err}
		}
		most.messages, most.seconds = max(most.messages, messages), max(most.seconds, seconds)
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
		}
	}
}

// reportProjection tells how far the database was behind at the end of a load,
// and when it had caught up.
func (m *measurement) reportProjection(ctx context.Context) error {
	behind, err := m.target.Sum(lagMessages)
	if errors.Is(err, errNoMetric) {
		return nil // a server that has none
	}
	if err != nil {
		return err
	}
	m.report("messages behind at the end", behind, "")
	begin := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var caughtUp time.Time // zero while it has not
	for time.Since(begin) < projectionPatience {
		switch {
		case behind > 0:
			caughtUp = time.Time{}
		case caughtUp.IsZero():
			caughtUp = time.Now()
		case time.Since(caughtUp) > settled:
			m.report("in the database after", caughtUp.Sub(begin).Seconds(), "s")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if behind, err = m.target.Sum(lagMessages); err != nil {
			return err
		}
	}
	return nil
}
