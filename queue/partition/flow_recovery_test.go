package partition

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// What start gates remember outlives the part of the log that told it.
func TestFlowSurvivesCompaction(t *testing.T) {
	t.Parallel()
	s := newSiteIn(t, busConfig(t, 1), func(n *Node) { n.compactBytes = 8 << 10 })
	s.register(
		on("filler", "fill"),
		limited("rated", "rated", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: "5h"} }),
		limited("single", "single", func(fn *function.Function) { fn.Singleton = &function.Singleton{Mode: function.SingletonSkip} }),
		limited("debounced", "debounced", func(fn *function.Function) { fn.Debounce = &function.Debounce{Period: "1h"} }),
		limited("batched", "batched", func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 3, Timeout: "1h"} }),
		limited("timed", "timed", func(fn *function.Function) { fn.Timeouts = &function.Timeouts{Start: "2h"} }),
	)
	for _, name := range []string{"rated", "single", "debounced", "batched", "timed", "batched"} {
		s.numbered(name, ``, 1)
	}
	s.decided("success:3 debounced:1 batched:2")
	timedRun := s.only("timed")
	log, err := s.bus.OpenLog(0)
	require.NoError(t, err)
	defer log.Close()
	for rounds := 0; ; rounds++ {
		first, _, err := log.Bounds(t.Context())
		require.NoError(t, err)
		if first > 1 {
			break
		}
		require.Less(t, rounds, 100, "the log is not compacted")
		for range 16 {
			s.send("fill", `{}`)
			s.commit(complete(s.calls("filler"), `"some output"`))
		}
		s.advance(0) // a tick compacts
		s.delivered()
	}
	s.restart()
	s.numbered("rated", ``, 2)
	s.numbered("single", ``, 2)
	s.numbered("batched", ``, 2)
	s.decided("success:1 rate_limited:1 skipped:1 batched:1")
	require.Equal(t, []string{"1 1 2"}, s.numbers("batched"))
	s.advance(time.Hour)
	s.eventually(func() bool { return len(s.runs("debounced")) == 1 })
	s.advance(time.Hour)
	s.ended(timedRun.ID)
}

// Whenever owners change, each event of a batch is in one run, in order, and
// of the events of a debounce the last one is.
func TestGatheringLosesNothing(t *testing.T) {
	t.Parallel()
	const events = 80
	random := rand.New(rand.NewPCG(3, 4))
	s := newSite(t, 2)
	s.register(
		limited("batched", "e", func(fn *function.Function) {
			fn.EventBatch = &function.EventBatch{MaxSize: 5, Timeout: "1h", Key: "event.data.c"}
		}),
		limited("debounced", "e", func(fn *function.Function) {
			fn.Debounce = &function.Debounce{Period: "1h", Key: "event.data.c"}
		}),
	)
	key := func(n int) string { return string(rune('a' + n%3)) }
	for n := range events {
		s.numbered("e", fmt.Sprintf(`,"c":%q`, key(n)), n)
		switch random.IntN(12) {
		case 0:
			s.replaceOwner(random.IntN(2))
		case 1:
			s.advance(20 * time.Minute)
		case 2:
			s.passed()
			s.advance(time.Hour)
		}
	}
	s.delivered() // what is collected later is due later
	s.advance(time.Hour)
	s.eventually(func() bool {
		left := 0
		for p := range s.bus.Partitions() {
			s.in(p, func(o *Owner) { left += len(o.deadlines.at) })
		}
		return left == 0
	})
	s.delivered()

	seen := map[string][]int{}
	for _, run := range s.numbers("batched") {
		numbers := integers(t, run)
		require.LessOrEqual(t, len(numbers), 5)
		for _, n := range numbers {
			require.Equal(t, key(numbers[0]), key(n), "one key in a batch")
			seen[key(n)] = append(seen[key(n)], n)
		}
	}
	total := 0
	for c, numbers := range seen {
		total += len(numbers)
		slices.Sort(numbers)
		require.Len(t, slices.Compact(numbers), len(seen[c]), "an event is in two batches")
	}
	require.Equal(t, events, total)
	var last []int
	for _, run := range s.numbers("debounced") {
		last = append(last, integers(t, run)...)
	}
	slices.Sort(last)
	require.Equal(t, last, slices.Compact(slices.Clone(last)), "an event has two runs")
	for n := events - 3; n < events; n++ {
		require.Contains(t, last, n, "the last event of a key has a run")
	}
}

func integers(t *testing.T, text string) (numbers []int) {
	t.Helper()
	for _, field := range strings.Fields(text) {
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		numbers = append(numbers, n)
	}
	require.True(t, slices.IsSorted(numbers), "in order: %s", text)
	return numbers
}
