package gcra

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeline is a case of fixtures/throttle.json, as its section in
// flow-control §15 describes it.
type timeline struct {
	Kind           string `json:"kind"`
	Note           string `json:"note"`
	Limit          uint   `json:"limit"`
	Period         uint   `json:"period_s"`
	Burst          uint   `json:"burst"`
	EffectiveBurst uint   `json:"effective_burst"`
	Start          int64  `json:"start_ms"`
	Steps          []step `json:"steps"`
}

type step struct {
	At        int64  `json:"at_ms"`
	Key       string `json:"idempotency_key"`
	Allowed   bool   `json:"allowed"`
	RetryAt   *int64 `json:"retry_at_ms"`
	StoredTAT string `json:"stored_tat"`
	TTL       int    `json:"set_ttl_s"`
	Expired   bool   `json:"key_expired_before"`
	Used      int    `json:"usage_used"`
}

// limit gives the timeline's limit, and a millisecond in its unit.
func (c timeline) limit() (l Limit, ms float64) {
	period := time.Duration(c.Period) * time.Second
	if c.Kind == "throttle" {
		return Throttle(c.Limit, c.Burst, period), 1
	}
	return RateLimit(c.Limit, period), 1e6
}

// TestFixture follows the captured timelines, with what Redis adds to the
// arithmetic: keys that expire, and idempotency keys that are not charged.
func TestFixture(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../tests/testdata/fixtures/throttle.json")
	require.NoError(t, err)
	var cases []timeline
	require.NoError(t, json.Unmarshal(text, &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Kind+" "+c.Note, func(t *testing.T) {
			t.Parallel()
			c.follow(t)
		})
	}
}

func (c timeline) follow(t *testing.T) {
	limit, ms := c.limit()
	require.Equal(t, limit.Emission*float64(c.EffectiveBurst+1), limit.Variance)
	tat, gone := 0.0, math.Inf(1)
	charged := map[string]float64{} // when, by idempotency key
	for i, s := range c.Steps {
		now := float64(c.Start+s.At) * ms
		expired := now >= gone
		require.Equal(t, s.Expired, expired, "step %d", i)
		if expired {
			tat, gone = 0, math.Inf(1)
		}
		if at, ok := charged[s.Key]; ok && s.Key != "" && now < at+5*60*limit.Second {
			require.True(t, s.Allowed, "step %d", i)
			require.Equal(t, parse(t, s.StoredTAT), tat, "step %d", i)
			continue
		}
		newTAT, ok, retryAt := limit.Admit(now, tat)
		require.Equal(t, s.Allowed, ok, "step %d", i)
		require.Equal(t, parse(t, s.StoredTAT), newTAT, "step %d", i)
		if ok {
			charged[s.Key] = now
			require.Equal(t, s.TTL, limit.TTL(now, newTAT), "step %d", i)
			gone = now + float64(s.TTL)*limit.Second
		}
		c.checkRetry(t, i, limit, now, newTAT, ok, retryAt)
		tat = newTAT
	}
}

// checkRetry compares when to try again. The original says "now + emission"
// after the last admission that passes; that is late when the admission itself
// came late, so that there it is a bound.
func (c timeline) checkRetry(t *testing.T, i int, limit Limit, now, newTAT float64, ok bool, retryAt float64) {
	_, ms := c.limit()
	s := c.Steps[i]
	remaining := limit.Remaining(now, newTAT)
	switch {
	case s.RetryAt == nil:
		require.Positive(t, remaining, "step %d", i)
		require.Equal(t, now, retryAt, "step %d", i)
	case !ok:
		require.Zero(t, remaining, "step %d", i)
		require.Equal(t, *s.RetryAt, int64(math.Round(retryAt/ms))-c.Start, "step %d", i)
	default:
		require.Zero(t, remaining, "step %d", i)
		require.LessOrEqual(t, int64(math.Round(retryAt/ms))-c.Start, *s.RetryAt, "step %d", i)
	}
	most := int(limit.Variance / limit.Emission)
	require.Equal(t, s.Used, min(most-remaining, max(int(c.Limit), 1)), "step %d", i)
}

func parse(t *testing.T, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

// A bucket that is asked whenever it says it may pass gives exactly the rate
// and the burst, however odd the numbers are.
func TestRetryAtIsExact(t *testing.T) {
	t.Parallel()
	start := float64(1772600767000)
	for _, limit := range []Limit{
		Throttle(1, 0, time.Minute), Throttle(3, 0, time.Second), Throttle(7, 5, 11*time.Second),
		Throttle(1000, 0, time.Second), Throttle(0, 0, time.Second), Throttle(9, 1, 1500*time.Millisecond),
	} {
		now, tat, passed := start, 0.0, 0
		for range 5000 {
			newTAT, ok, retryAt := limit.Admit(now, tat)
			require.True(t, ok, "asked at the time it said: %v at %v", limit, now-start)
			passed++
			require.LessOrEqual(t, float64(passed), (limit.Variance+now-start)/limit.Emission+0.01)
			if retryAt > now {
				_, early, again := limit.Admit(math.Nextafter(retryAt, 0), newTAT)
				require.False(t, early)
				require.Equal(t, retryAt, again)
			}
			require.False(t, limit.Lapsed(now, newTAT))
			require.True(t, limit.Lapsed(newTAT, newTAT))
			now, tat = retryAt, newTAT
		}
	}
}

func TestNoPeriodIsNoLimit(t *testing.T) {
	t.Parallel()
	limit := Throttle(5, 0, 0)
	require.Equal(t, math.MaxInt, limit.Remaining(5, 5))
	tat := 0.0
	for range 100 {
		newTAT, ok, retryAt := limit.Admit(1000, tat)
		require.True(t, ok)
		require.Equal(t, 1000.0, retryAt)
		tat = newTAT
	}
}

func TestCarried(t *testing.T) {
	t.Parallel()
	const now = 1_700_000_000_000
	day, minute := Throttle(1, 0, 24*time.Hour), Throttle(2, 0, time.Minute)
	left, ok, _ := day.Admit(now, 0)
	require.True(t, ok)
	require.InDelta(t, left, day.Carried(now, left), 0, "the same limit counts all")
	require.InDelta(t, left, day.Carried(now-1000, left), 0, "and so it does by a clock that is a second behind")
	used := minute.Carried(now, left)
	require.InDelta(t, now+60_000, used, 0)
	_, ok, retry := minute.Admit(now, used)
	require.False(t, ok, "as if the limit had just been used up")
	require.InDelta(t, now+30_000, retry, 0)
	require.Zero(t, minute.Carried(now, 0))
}
