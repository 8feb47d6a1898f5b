package crash_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// tale is a journal made by hand, and what was sent for it. Times are in
// milliseconds since its beginning.
type tale struct {
	entries []entry
	sent    []sending
	outages []span
}

func timeOf(ms int) time.Time { return time.UnixMilli(1_800_000_000_000 + int64(ms)) }

func ulidOf(ms int) string { return ulid.MustNew(ulid.Timestamp(timeOf(ms)), nil).String() }

// send has an event sent, and looked at.
func (t *tale) send(ms int, function, k string, n int) *tale {
	t.unseen(ms, function, k, n)
	return t.see(ms, function, n, fmt.Sprintf("W-%s-%d", function, n))
}

func (t *tale) unseen(ms int, function, k string, n int) *tale {
	t.sent = append(t.sent, sending{key{function, n}, k, span{timeOf(ms), timeOf(ms + 1)}})
	return t
}

func (t *tale) see(ms int, function string, n int, run string) *tale {
	t.entries = append(t.entries, entry{At: timeOf(ms + 1), Function: witness, Run: run, N: n, Event: flowEvents + function})
	return t
}

// call has a run do a step that took so long, and return its result after the
// last.
func (t *tale) call(ms, took int, function, run, k string, memos map[string]json.RawMessage, ran string, ns ...int) *tale {
	e := entry{
		At: timeOf(ms), Function: function, Run: run, K: k, N: ns[0], Batch: ns, Memos: memos,
		Request: ulidOf(ms), Call: fmt.Sprintf("%s-%d", run, ms), Ran: ran,
	}
	if ran == "" {
		e.Result = memos
	} else {
		e.By = ulidOf(ms)
	}
	t.entries = append(t.entries, e)
	if took > 0 {
		t.mark(ms+took, answered, e.Call)
	}
	return t
}

func (t *tale) mark(ms int, m mark, of string) *tale {
	t.entries = append(t.entries, entry{At: timeOf(ms), Mark: m, Of: of})
	return t
}

func memoOf(ms, n int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"data":{"by":%q,"n":%d}}`, ulidOf(ms), n))
}

// run is a whole run of about half a second.
func (t *tale) run(ms int, function, run, k string, ns ...int) *tale {
	memos := map[string]json.RawMessage{"a": memoOf(ms, ns[0]), "nap": json.RawMessage("null"), "b": memoOf(ms+300, ns[0])}
	t.call(ms, 20, function, run, k, nil, "a", ns...)
	t.call(ms+300, 20, function, run, k, map[string]json.RawMessage{"a": memos["a"], "nap": memos["nap"]}, "b", ns...)
	t.call(ms+400, 20, function, run, k, memos, "", ns...)
	return t.end(ms+500, function, run, k, "Completed", memos, ns[0])
}

func (t *tale) end(ms int, function, run, k, status string, result map[string]json.RawMessage, n int) *tale {
	announced, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	t.entries = append(t.entries, entry{At: timeOf(ms), Function: audit, Run: fmt.Sprintf("A-%s-%d", run, ms), Ended: &end{
		Run: run, Function: function, N: n, K: k, Status: status, Result: announced,
	}})
	return t
}

func (t *tale) cancel(ms int, function, run, k string, n int) *tale {
	return t.end(ms, function, run, k, "Cancelled", nil, n)
}

func (t *tale) away(from, to int) *tale {
	t.outages = append(t.outages, span{timeOf(from), timeOf(to)})
	return t
}

// ledger reads the tale.
func (t *tale) ledger(tb testing.TB) *flowLedger {
	path := filepath.Join(tb.TempDir(), "journal")
	j, err := openJournal(path)
	require.NoError(tb, err)
	slices.SortStableFunc(t.entries, func(a, b entry) int { return a.At.Compare(b.At) })
	for _, e := range t.entries {
		require.NoError(tb, j.write(&e))
	}
	l := newFlowLedger(newLedger(path))
	for _, s := range t.sent {
		l.note(&s)
	}
	l.outages = t.outages
	require.NoError(tb, l.catchUp())
	return l
}

func (t *tale) many(count, apart int, each func(t *tale, ms, n int)) *tale {
	for n := range count {
		each(t, n*apart, n)
	}
	return t
}

// one is an event and its run, at once. The name of the run is that of the
// function in capitals, and the number.
func one(function string) func(t *tale, ms, n int) { return later(0, 0, function) }

// later is like one, after a time and with higher numbers.
func later(after, plus int, function string) func(t *tale, ms, n int) {
	return func(t *tale, ms, n int) {
		n += plus
		t.send(ms+after, function, "k", n).run(ms+after+1, function, fmt.Sprintf("%s-%d", strings.ToUpper(function), n), "k", n)
	}
}

// TestFlowLedger shows that each kind of violation is found, and that what is
// none is not.
func TestFlowLedger(t *testing.T) {
	t.Parallel()
	story := func() *tale { return &tale{} }
	for name, tc := range map[string]struct {
		tale *tale
		want string // "" for nothing wrong
	}{
		"nothing sent":       {story(), ""},
		"one run":            {story().many(1, 0, one(keyed)), ""},
		"event not seen":     {story().unseen(0, keyed, "k", 1).run(0, keyed, "R", "k", 1), "keyed 1 was not looked at"},
		"event seen twice":   {story().many(1, 0, one(keyed)).see(900, keyed, 0, "other"), "keyed 0 was looked at by the runs W-keyed-0 and other"},
		"event lost":         {story().send(0, keyed, "k", 1), `keyed 1 of key "k" has no run`},
		"event from nowhere": {story().run(0, keyed, "R", "k", 1), "keyed 1 was never sent"},
		"event in two runs":  {story().many(1, 0, one(keyed)).run(900, keyed, "S", "k", 0), "keyed 0 is in the runs KEYED-0 and S"},
		"key of another":     {story().send(0, keyed, "other", 1).run(0, keyed, "R", "k", 1), `keyed 1 of key "other" is in run R of key "k"`},
		"not ended":          {story().send(0, keyed, "k", 1).call(0, 10, keyed, "R", "k", nil, "a", 1), "the end of run R of [1] was not announced after 1 calls"},
		"cancelled":          {story().send(0, keyed, "k", 1).cancel(9, keyed, "R", "k", 1), "run R: it ended, but was never called"},
		"apart":              {story().mark(9, alone, "keyed k"), "calls that wait for the meeting keyed k were never together"},

		"two runs in progress":   {story().many(4, 250, one(occupied)), ""},
		"three runs in progress": {story().many(3, 100, one(occupied)), `occupied of key "k": 3 runs at the same time when run OCCUPIED-2`},

		"burst of a throttle":          {story().many(8, 1, one(throttled)), ""},
		"steady throttle":              {story().many(30, 400, one(throttled)), ""},
		"throttle beyond its burst":    {story().many(22, 1, one(throttled)), "21 runs began within 20ms"},
		"throttle beyond its rate":     {story().many(80, 200, one(throttled)), "throttled of key \"\": "},
		"throttled calls made up for":  {story().many(22, 1, one(throttled)).away(0, 1), ""},
		"throttle forgotten in a kill": {story().many(8, 1, one(throttled)).away(100, 200).many(8, 1, later(300, 8, throttled)).many(8, 1, later(600, 16, throttled)), "runs began within"},

		"rate limited":              {story().many(2, 1, one(limited)).send(9, limited, "k", 7), ""},
		"rate limit exceeded":       {story().many(4, 1, one(limited)), `limited of key "k": 4 runs began within 3ms`},
		"dropped for no reason":     {story().many(1, 1, one(limited)).send(4100, limited, "k", 7), `limited 7 of key "k" was dropped, although no run had begun for 4s`},
		"dropped for another's key": {story().many(1, 1, one(limited)).send(9, limited, "l", 7), `limited 7 of key "l" was dropped`},

		"full batch":         {batches(5).run(10, gathered, "R", "k", 0, 1, 2, 3, 4), ""},
		"batch after a time": {batches(2).run(2001, gathered, "R", "k", 0, 1), ""},
		"batch too soon":     {batches(2).run(1900, gathered, "R", "k", 0, 1), "run R of the batch [0 1] did not wait for further events"},
		"batch too large":    {batches(6).run(10, gathered, "R", "k", 0, 1, 2, 3, 4, 5), "run R has a batch of 6 events"},
		"event in no batch":  {batches(6).run(10, gathered, "R", "k", 0, 1, 2, 3, 4), `gathered 5 of key "k" has no run`},
		"event twice":        {batches(5).run(10, gathered, "R", "k", 0, 1, 2, 3, 4).run(2001, gathered, "S", "k", 4), "gathered 4 is in the runs R and S"},
		"order of a batch":   {batches(5).run(10, gathered, "R", "k", 0, 2, 1, 3, 4), `1 is in the batch [0 2 1 3 4] of run R, after 2`},
		"batches interleave": {batches(10).run(10, gathered, "R", "k", 0, 1, 2, 3, 5).run(20, gathered, "S", "k", 4, 6, 7, 8, 9), "4 is in the batch [4 6 7 8 9] of run S, after 5"},
		"batch changed":      {batches(5).run(10, gathered, "R", "k", 0, 1, 2, 3, 4).call(900, 9, gathered, "R", "k", nil, "a", 0, 1), "run R was called with the events [0 1 2 3 4] and with [0 1]"},

		"debounced":             {debounces(0, 500).run(2500, debounced, "R", "k", 1), ""},
		"debounced twice":       {debounces(0, 2100).run(2000, debounced, "R", "k", 0).run(4100, debounced, "S", "k", 1), ""},
		"debounced too soon":    {debounces(0, 500).run(2400, debounced, "R", "k", 1), "debounced 1: run R began 100ms too early"},
		"debounce not replaced": {story().many(10, 9, func(t *tale, ms, n int) { t.send(ms, debounced, "k", n).run(ms+2001, debounced, fmt.Sprint(n), "k", n) }), `debounced of key "k": each of 10 events has a run`},
		"debounced away":        {debounces(0, 500), `debounced 1 of key "k" has no run`},
		"debounced first event": {debounces(0, 500).run(2500, debounced, "R", "k", 0), `debounced 1 of key "k" has no run`},

		"skipped":            {story().many(1, 0, one(single)).send(100, single, "k", 7), ""},
		"singles in turn":    {story().many(3, 600, one(single)), ""},
		"two singles":        {story().many(2, 300, one(single)), `single of key "k": 2 runs at the same time`},
		"skipped for nobody": {story().many(1, 0, one(single)).send(600, single, "k", 7), `single 7 of key "k" was skipped, although no run was alive`},
		"skipped for later":  {story().send(0, single, "k", 0).many(1, 0, later(5, 1, single)), `single 0 of key "k" was skipped`},

		"replaced":            {story().send(0, replaced, "k", 0).cancel(20, replaced, "R", "k", 0).many(1, 0, later(9, 1, replaced)), ""},
		"replaced for nobody": {story().send(0, replaced, "k", 0).cancel(20, replaced, "R", "k", 0), "run R of [0] was cancelled, but not by a later event"},
		"replaced run goes on": {
			story().send(0, replaced, "k", 0).call(5, 9, replaced, "R", "k", nil, "a", 0).cancel(20, replaced, "R", "k", 0).
				many(1, 0, later(9, 1, replaced)).call(700, 9, replaced, "R", "k", nil, "a", 0),
			"run R of [0] was called after run REPLACED-1 of [1] had ended",
		},
		"replaced twice announced": {
			story().send(0, replaced, "k", 0).cancel(20, replaced, "R", "k", 0).cancel(21, replaced, "R", "k", 0).many(1, 0, later(9, 1, replaced)),
			"its end was announced to 2 runs",
		},

		"hurried":          {story().many(1, 0, one(hurried)).send(1, hurried, "k", 1).cancel(1001, hurried, "R", "k", 1), ""},
		"hurried too soon": {story().send(0, hurried, "k", 1).cancel(900, hurried, "R", "k", 1), "hurried 1: run R was cancelled after 900ms"},
		"hurried and started": {
			story().send(0, hurried, "k", 1).call(5, 9, hurried, "R", "k", map[string]json.RawMessage{"a": memoOf(1, 1)}, "b", 1).cancel(1001, hurried, "R", "k", 1),
			"run R was cancelled after it had started",
		},

		"shortened":            {story().send(0, shortened, "k", 1).call(5, 9, shortened, "R", "k", nil, "a", 1).cancel(1505, shortened, "R", "k", 1), ""},
		"shortened too soon":   {story().send(0, shortened, "k", 1).cancel(1400, shortened, "R", "k", 1), "run R was cancelled after 1.4s"},
		"shortened not at all": {story().many(1, 0, one(shortened)), "run SHORTENED-0 ended as Completed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := atMost(100, tc.tale.ledger(t).wholeVerdict())
			if tc.want != "" {
				require.Contains(t, wrong, tc.want)
				return
			}
			require.Empty(t, wrong)
		})
	}
}

// TestFlowCallsAtOnce shows that calls at the same time are counted.
func TestFlowCallsAtOnce(t *testing.T) {
	t.Parallel()
	// add has one more call begin in the tale's order, and not end.
	add := func(t *tale, function, k string) *tale {
		n := len(t.entries)
		return t.call(n, 0, function, fmt.Sprintf("R%d", n), k, nil, "a", n)
	}
	begun := func(function string, keys ...string) *tale {
		t := &tale{}
		for _, k := range keys {
			add(t, function, k)
		}
		return t
	}
	for name, tc := range map[string]struct {
		tale *tale
		want string // "" for nothing wrong
	}{
		"two of a key":          {begun(keyed, "k", "k"), ""},
		"three of a key":        {begun(keyed, "k", "k", "k"), "keyed k: 3 calls at the same time, the last is of run R2"},
		"of several keys":       {begun(keyed, "k", "k", "l", "l"), ""},
		"three of all":          {begun(bounded, "k", "k", "l"), ""},
		"four of all":           {begun(bounded, "k", "k", "l", "l"), "bounded: 4 calls at the same time, the last is of run R3"},
		"three of a key in all": {begun(bounded, "k", "k", "k"), "bounded k: 3 calls at the same time, the last is of run R2"},
		"of two functions":      {add(begun(sharedA, "k", "l"), sharedB, "k"), "shared-a and shared-b: 3 calls at the same time, the last is of run R2"},
		"one after the other":   {add(begun(hurried, "k").mark(0, answered, "R0-0"), hurried, "k"), ""},
		"of an app that died":   {add(begun(keyed, "k", "k").mark(1, opened, ""), keyed, "k"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, strings.Join(tc.tale.ledger(t).violations, "\n"))
		})
	}
	t.Run("of a server that was frozen", func(t *testing.T) {
		t.Parallel()
		l := begun(keyed, "k", "k").ledger(t)
		require.NoError(t, l.takenOver(timeOf(1000)))
		late, next := (&tale{}).call(999, 0, keyed, "S", "k", nil, "a", 3), (&tale{}).call(1000, 0, keyed, "S", "k", nil, "a", 3)
		l.add(&late.entries[0])
		require.Empty(t, l.violations)
		l.add(&next.entries[0])
		require.Len(t, l.violations, 1)
	})
	t.Run("of a server that died", func(t *testing.T) {
		t.Parallel()
		l := begun(keyed, "k", "k").ledger(t)
		require.NoError(t, l.successor())
		l.add(&add(&tale{}, keyed, "k").entries[0])
		require.Empty(t, l.violations)
	})
}

// batches has events sent that are to be collected.
func batches(count int) *tale {
	return (&tale{}).many(count, 1, func(t *tale, ms, n int) { t.send(ms, gathered, "k", n) })
}

// debounces has events sent at some times.
func debounces(times ...int) *tale {
	t := &tale{}
	for n, ms := range times {
		t.send(ms, debounced, "k", n)
	}
	return t
}

// TestFlowMeetings has calls wait for each other.
func TestFlowMeetings(t *testing.T) {
	t.Parallel()
	var all meetings
	require.False(t, all.join(&meet{"pair", 2}, time.Millisecond))
	met := make(chan bool)
	for range 3 {
		go func() { met <- all.join(&meet{"pair", 2}, meetTimeout) }()
	}
	for range 3 {
		require.True(t, <-met)
	}
	require.True(t, all.join(&meet{"pair", 2}, 0))
}
