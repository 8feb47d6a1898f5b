package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// joiningStart is a start of function fn by events with these numbers.
func joiningStart(ts int64, numbers ...int) state.Start {
	s := state.Start{FunctionID: fnID("fn")}
	for _, n := range numbers {
		e := fmt.Sprintf(`{"data":{"n":%d},"name":"e","ts":%d,"user":{}}`, n, ts)
		s.Events, s.EventIDs = append(s.Events, json.RawMessage(e)), append(s.EventIDs, ulid.Make())
	}
	return s
}

// TestTakenDebounceJoins: of two debounces for one key that with the later event stays,
// and it waits as long as either would.
func TestTakenDebounceJoins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		want  string
	}{"it is later": {time.Minute, "9"}, "it is earlier": {-time.Minute, "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(debounced("1h", "", ""))
			s.numbered("e", ``, 1)
			s.decided("debounced:1")
			m := state.Moved{Joins: true, Fact: &state.DebouncePut{Debounce: state.Debounce{
				ID: ulid.Make(), Due: s.now().Add(time.Minute).UnixMilli(), Start: joiningStart(s.now().Add(c.later).UnixMilli(), 9),
			}}}
			takeOver(t, s.node, state.Taken, m)
			s.advance(59 * time.Minute)
			s.passed()
			require.Empty(t, s.runs("fn"))
			s.advance(time.Minute)
			s.only("fn")
			require.Equal(t, []string{c.want}, s.numbers("fn"))
			takeOver(t, s.node, state.TakenEnded, m)
		})
	}
}

// TestTakenBatchJoins: what collects here follows the events of the batch that is
// taken over; both start by what is due first, or when they are full.
func TestTakenBatchJoins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken []int
		want  []string // of runs, before and after the batch is due
		after []string
	}{
		"there is room": {taken: []int{8, 9}, after: []string{"8 9 1 2"}},
		"it is full":    {taken: []int{6, 7, 8, 9}, want: []string{"6 7 8 9 1"}, after: []string{"6 7 8 9 1", "2"}},
		"it was full":   {taken: []int{5, 6, 7, 8, 9}, want: []string{"5 6 7 8 9"}, after: []string{"5 6 7 8 9", "1 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			s.register(batching(function.EventBatch{MaxSize: 5, Timeout: "1h"}))
			s.numbered("e", ``, 1, 2)
			s.decided("batched:2")
			m := state.Moved{Joins: true, Fact: &state.BatchPut{Batch: state.Batch{
				ID: ulid.Make(), Due: s.now().Add(time.Minute).UnixMilli(), Start: joiningStart(5, c.taken...),
			}}}
			takeOver(t, s.node, state.Taken, m)
			s.passed()
			require.ElementsMatch(t, c.want, s.numbers("fn"))
			s.advance(time.Minute)
			if len(c.after) > 1 {
				s.advance(time.Hour)
			}
			s.eventually(func() bool { return len(s.runs("fn")) == len(c.after) })
			require.ElementsMatch(t, c.after, s.numbers("fn"))
			takeOver(t, s.node, state.TakenEnded, m)
		})
	}
}
