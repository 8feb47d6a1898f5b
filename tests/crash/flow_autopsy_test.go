package crash_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

// charge is what the log says of a start that a throttle or a rate limit let
// pass: when, and the theoretical arrival time after it, both since 1970.
type charge struct{ at, tat time.Duration }

// auditCharges reads the charges in the logs of an embedded server that has
// ended. The log is the server's own account of when it let runs start, so
// that it can be held to the limits to the millisecond, kills included.
func (s *flowSite) auditCharges() {
	throttles, rates := s.readCharges()
	wrong := wrongCharges(throttled, throttles, throttleCapacity, throttleEmission)
	wrong = append(wrong, wrongCharges(limited, rates, rateCapacity, rateEmission)...)
	require.Empty(s.t, wrong, atMost(20, wrong))
	require.Equal(s.t, len(s.flow.livesOf(throttled)), count(throttles), "each run is charged once to the throttle")
	require.Equal(s.t, len(s.flow.livesOf(limited)), count(rates), "each run is charged once to the rate limit")
}

func count(charges map[state.GateKey][]charge) (n int) {
	for _, of := range charges {
		n += len(of)
	}
	return n
}

// readCharges finds the charges of each key in their order. Those of throttles
// are in milliseconds, those of rate limits in nanoseconds (package gcra).
func (s *flowSite) readCharges() (throttles, rates map[state.GateKey][]charge) {
	b, err := bus.Open(s.ctx, bus.Config{StoreDir: s.storeDir(0)})
	require.NoError(s.t, err)
	defer b.Close()
	throttles, rates = map[state.GateKey][]charge{}, map[state.GateKey][]charge{}
	for p := range b.Partitions() {
		log, err := b.OpenLog(p)
		require.NoError(s.t, err)
		err = log.Replay(s.ctx, func(_ uint64, data []byte) error {
			return state.Decode(data, func(r *state.Record) error {
				for _, op := range r.Ops {
					if c, ok := op.(*state.RateCharged); ok {
						at := time.Duration(r.At) * time.Millisecond
						if c.TAT < 1e15 {
							throttles[c.Key] = append(throttles[c.Key], charge{at, time.Duration(c.TAT * float64(time.Millisecond))})
						} else {
							rates[c.Key] = append(rates[c.Key], charge{at, time.Duration(c.TAT)})
						}
					}
				}
				return nil
			})
		})
		log.Close()
		require.NoError(s.t, err)
	}
	return throttles, rates
}

// wrongCharges wants each charge to move the arrival time on by an emission,
// also from now on, and never so far that more than the capacity pass. What is
// now was decided a moment before the record was begun.
func wrongCharges(function string, charges map[state.GateKey][]charge, capacity int, emission time.Duration) (wrong []string) {
	const rounding = time.Millisecond // of times in a double
	for _, of := range charges {
		before := time.Duration(0)
		for i, c := range of {
			if least := max(c.at-clockSlack, before) + emission; c.tat < least-rounding {
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
		"from long ago": {[]charge{{5000 * ms, 4050 * ms}}, "f: charge 0 moves the arrival time on by 50ms too little"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := wrongCharges("f", map[state.GateKey][]charge{{}: tc.charges}, 2, 100*ms)
			require.Equal(t, tc.want, atMost(5, wrong))
		})
	}
}
