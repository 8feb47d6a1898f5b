package crash_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

// account is the server's own: what its logs say about when it let runs start.
// It can be held to the limits to the millisecond, kills included.
type account struct {
	throttles  map[state.GateKey][]charge
	rates      map[state.GateKey][]charge
	debounces  map[state.GateKey]state.Debounce // that wait
	violations []string                         // of debounces
}

// charge is of a start that a throttle or a rate limit let pass: when, and the
// theoretical arrival time after it, both since 1970.
type charge struct{ at, tat time.Duration }

func newAccount() *account {
	return &account{
		throttles: map[state.GateKey][]charge{}, rates: map[state.GateKey][]charge{}, debounces: map[state.GateKey]state.Debounce{},
	}
}

// auditLogs reads the logs of servers that have ended and never compacted.
func (s *flowSite) auditLogs(config bus.Config) {
	a := newAccount()
	b, err := bus.Open(s.ctx, config)
	require.NoError(s.t, err)
	defer b.Close()
	for p := range b.Partitions() {
		log, err := b.OpenLog(p)
		require.NoError(s.t, err)
		err = log.Replay(s.ctx, func(_ uint64, data []byte) error {
			return state.Decode(data, func(r *state.Record) error {
				a.add(r)
				return nil
			})
		})
		log.Close()
		require.NoError(s.t, err)
	}
	wrong := slices.Concat(a.violations,
		wrongCharges(throttled, a.throttles, throttleCapacity, throttleEmission),
		wrongCharges(limited, a.rates, rateCapacity, rateEmission))
	require.Empty(s.t, wrong, atMost(20, wrong))
	require.Empty(s.t, a.debounces, "debounces that were forgotten")
	require.Equal(s.t, len(s.flow.livesOf(throttled)), count(a.throttles), "each run is charged once to the throttle")
	require.Equal(s.t, len(s.flow.livesOf(limited)), count(a.rates), "each run is charged once to the rate limit")
}

func count(charges map[state.GateKey][]charge) (n int) {
	for _, of := range charges {
		n += len(of)
	}
	return n
}

func (a *account) add(r *state.Record) {
	for _, op := range r.Ops {
		switch op := op.(type) {
		case *state.RateCharged:
			a.addCharge(time.Duration(r.At)*time.Millisecond, op)
		case *state.DebouncePut:
			if due := r.At + debouncePeriod.Milliseconds(); op.Debounce.Due != due {
				a.violation("a debounce is due %d ms too late", op.Debounce.Due-due)
			}
			a.debounces[op.Debounce.Key] = op.Debounce
		case *state.DebounceRemoved:
			a.endDebounce(r.At, op.Key)
		}
	}
}

// addCharge knows the charges of throttles, in milliseconds, from those of
// rate limits, in nanoseconds (package gcra), since no time is both.
func (a *account) addCharge(at time.Duration, c *state.RateCharged) {
	const between = 1e15
	if c.TAT < between {
		a.throttles[c.Key] = append(a.throttles[c.Key], charge{at, time.Duration(c.TAT * float64(time.Millisecond))})
	} else {
		a.rates[c.Key] = append(a.rates[c.Key], charge{at, time.Duration(c.TAT)})
	}
}

// endDebounce wants a debounce to have waited since its last event.
func (a *account) endDebounce(at int64, key state.GateKey) {
	d, waits := a.debounces[key]
	switch {
	case !waits:
		a.violation("a debounce ended twice")
	case at < d.Due:
		a.violation("a debounce ended %d ms too early", d.Due-at)
	}
	delete(a.debounces, key)
}

func (a *account) violation(format string, args ...any) {
	a.violations = append(a.violations, fmt.Sprintf(format, args...))
}

// wrongCharges wants each charge to move the arrival time on by an emission,
// also from now on, and never so far that more than the capacity pass. What is
// now was decided a moment before the record was begun.
func wrongCharges(function string, charges map[state.GateKey][]charge, capacity int, emission time.Duration) (wrong []string) {
	const rounding = time.Millisecond // of times in a double
	for _, of := range charges {
		before := time.Duration(0)
		for i, c := range of {
			if least := max(c.at-callLag, before) + emission; c.tat < least-rounding {
				wrong = append(wrong, fmt.Sprintf("%s: charge %d moves the arrival time on by %v too little", function, i, least-c.tat))
			}
			if most := c.at + time.Duration(capacity)*emission; c.tat > most+rounding {
				wrong = append(wrong, fmt.Sprintf("%s: charge %d is made %v too early", function, i, c.tat-most))
			}
			before = c.tat
		}
	}
	return wrong
}

// TestFlowCharges shows that charges that break their limit are found.
func TestFlowCharges(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tc := range map[string]struct {
		charges []charge
		want    string // "" for nothing wrong
	}{
		"none":          {nil, ""},
		"burst":         {[]charge{{1000 * ms, 1100 * ms}, {1000 * ms, 1200 * ms}}, ""},
		"beyond burst":  {[]charge{{1000 * ms, 1100 * ms}, {1000 * ms, 1200 * ms}, {1050 * ms, 1300 * ms}}, "f: charge 2 is made 50ms too early"},
		"steady":        {[]charge{{1000 * ms, 1100 * ms}, {1000 * ms, 1200 * ms}, {1100 * ms, 1300 * ms}}, ""},
		"after a pause": {[]charge{{1000 * ms, 1100 * ms}, {9000 * ms, 9100 * ms}}, ""},
		"forgotten":     {[]charge{{1000 * ms, 1100 * ms}, {1010 * ms, 1110 * ms}}, "f: charge 1 moves the arrival time on by 90ms too little"},
		"from long ago": {[]charge{{9000 * ms, 4050 * ms}}, "f: charge 0 moves the arrival time on by 50ms too little"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := wrongCharges("f", map[state.GateKey][]charge{{}: tc.charges}, 2, 100*ms)
			require.Equal(t, tc.want, atMost(5, wrong))
		})
	}
}

// TestFlowDebounces shows that a debounce which does not wait is found.
func TestFlowDebounces(t *testing.T) {
	t.Parallel()
	put := func(at, due int64) *state.Record {
		return &state.Record{At: at, Ops: []state.Op{&state.DebouncePut{Debounce: state.Debounce{Due: due}}}}
	}
	end := func(at int64) *state.Record {
		return &state.Record{At: at, Ops: []state.Op{&state.DebounceRemoved{}}}
	}
	for name, tc := range map[string]struct {
		records []*state.Record
		want    string // "" for nothing wrong
	}{
		"waits":       {[]*state.Record{put(1, 2001), put(500, 2500), end(2500)}, ""},
		"again":       {[]*state.Record{put(1, 2001), end(2001), put(2002, 4002), end(4010)}, ""},
		"too early":   {[]*state.Record{put(1, 2001), put(500, 2500), end(2001)}, "a debounce ended 499 ms too early"},
		"twice":       {[]*state.Record{put(1, 2001), end(2001), end(2001)}, "a debounce ended twice"},
		"not put off": {[]*state.Record{put(1, 2001), put(500, 2001), end(2001)}, "a debounce is due -499 ms too late"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount()
			for _, r := range tc.records {
				a.add(r)
			}
			require.Equal(t, tc.want, atMost(5, a.violations))
			require.Empty(t, a.debounces)
		})
	}
}
