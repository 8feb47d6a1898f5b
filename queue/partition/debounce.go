package partition

import (
	"time"

	"jetstep/function"
	"jetstep/state"
)

// debounce makes the start wait until the events of its key pause
// (flow-control §11). One that waits already gives way, unless its event is
// later by its own time.
func (t *tx) debounce(s *starting) {
	cfg := s.fn.Debounce
	key := t.gateKey(state.OfDebounce, s.fn, &s.in, cfg.Key)
	waiting, ok := t.o.index.Debounce(key)
	if ok && waiting.Due <= t.now {
		// Its time was over when the event came, only nobody had looked yet.
		t.endDebounce(waiting)
		waiting = nil
	}
	period, err := cfg.Wait()
	t.complain(s.fn, cfg.Period, err) // registration refuses it
	next, replaces := nextDebounce(waiting, t.now, s.in.TS(), period, cfg.Limit())
	if !replaces {
		t.o.log.Debug("debounced away by a later event", "function_id", s.fn.Slug, "event_id", s.EventIDs[0])
		t.refuse(s.Correlations, state.InvokeDebounced)
		return
	}
	if waiting != nil {
		t.o.log.Debug("debounced away by a later event", "function_id", s.fn.Slug, "event_id", waiting.Start.EventIDs[0])
		t.refuse(waiting.Start.Correlations, state.InvokeDebounced)
	} else {
		next.ID = t.o.node.newID()
	}
	next.Key, next.Start = key, *s.Start
	t.do(&state.DebouncePut{Debounce: next})
}

// nextDebounce is the debounce with one more event, at now (ms) and with that
// "ts"; waiting is nil for the first. It is due exactly one period after the
// last event, but not later than limit after the first (0 for no limit).
func nextDebounce(waiting *state.Debounce, now, ts int64, period, limit time.Duration) (next state.Debounce, replaces bool) {
	switch {
	case waiting == nil:
		if limit > 0 {
			next.Until = now + limit.Milliseconds()
		}
	case waiting.TS > ts:
		return state.Debounce{}, false
	default:
		next.ID, next.Until = waiting.ID, waiting.Until
	}
	next.TS, next.Due = ts, now+period.Milliseconds()
	if next.Until > 0 {
		next.Due = min(next.Due, next.Until)
	}
	return next, true
}

// endDebounce starts the run by the last event. What excludes a second run is
// the event itself: ids that senders choose do not count here.
func (t *tx) endDebounce(d *state.Debounce) {
	t.do(&state.DebounceRemoved{Key: d.Key})
	s := d.Start
	event := s.EventIDs[0].String()
	s.RunID = runID(t.o.id, time.UnixMilli(t.now), s.FunctionID, event)
	s.Idempotency = function.IdempotencyKey(s.FunctionID, event)
	s.ClaimFor = min(s.ClaimFor, claimSeeded.Milliseconds())
	s.Mark = t.o.node.bus.LastEvent() // events before the run do not cancel it
	t.goOn(&s)
}
