package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

var epoch = time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)

// newTestMemory has a clock that moves one second at each event.
func newTestMemory(limits Limits) *Memory {
	m := NewMemory(limits)
	now := epoch
	m.now = func() time.Time {
		now = now.Add(time.Second)
		return now
	}
	return m
}

// id is a ULID that sorts by n.
func id(n int) ulid.ULID {
	var id ulid.ULID
	_ = id.SetTime(uint64(epoch.UnixMilli()) + uint64(n))
	return id
}

func event(n int, name string) *bus.Event {
	return &bus.Event{InternalID: id(n), ID: id(n).String(), Name: name, Data: json.RawMessage(`{"a":1}`)}
}

func scheduled(n, event int) Run {
	return Run{ID: id(n), FunctionID: uuid.NameSpaceOID, EventIDs: []ulid.ULID{id(event)}, Status: state.Scheduled, QueuedAt: epoch}
}

func runIDs(runs []Run) []ulid.ULID {
	ids := make([]ulid.ULID, len(runs))
	for i, run := range runs {
		ids[i] = run.ID
	}
	return ids
}

func eventIDs(events []Event) []ulid.ULID {
	ids := make([]ulid.ULID, len(events))
	for i, event := range events {
		ids[i] = event.InternalID
	}
	return ids
}

func TestRunGoesThroughItsStatuses(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{})
	_, err := m.Run(t.Context(), id(1))
	require.ErrorIs(t, err, ErrRunNotFound)

	m.RunScheduled(Run{ID: id(1), Status: state.Scheduled, QueuedAt: epoch, Reason: "throttled"})
	run, err := m.Run(t.Context(), id(1))
	require.NoError(t, err)
	require.Equal(t, Run{ID: id(1), Status: state.Scheduled, QueuedAt: epoch, Reason: "throttled"}, run)

	m.RunStarted(id(1), epoch.Add(time.Second))
	m.RunStarted(id(1), epoch.Add(time.Minute)) // a replay
	run, err = m.Run(t.Context(), id(1))
	require.NoError(t, err)
	require.Equal(t, Run{ID: id(1), Status: state.Running, QueuedAt: epoch, StartedAt: epoch.Add(time.Second)}, run)

	reason := func() string {
		run, err = m.Run(t.Context(), id(1))
		require.NoError(t, err)
		return run.Reason
	}
	m.RunWaits(id(1), "")
	require.Empty(t, reason())
	m.RunWaits(id(1), "attempt 1 of 5 failed")
	require.Equal(t, "attempt 1 of 5 failed", reason())
	m.RunWaits(id(1), "")
	require.Empty(t, reason())
	m.RunWaits(id(1), "attempt 2 of 5 failed")

	m.RunFinished(id(1), state.Completed, json.RawMessage(`"done"`), epoch.Add(2*time.Second))
	m.RunFinished(id(1), state.Failed, nil, epoch.Add(time.Hour))
	m.RunWaits(id(1), "late")
	require.Empty(t, reason(), "an ended run waits for nothing")
	m.RunStarted(id(1), epoch.Add(time.Hour))
	m.RunScheduled(Run{ID: id(1), Status: state.Scheduled})
	run, err = m.Run(t.Context(), id(1))
	require.NoError(t, err)
	require.Equal(t, state.Completed, run.Status)
	require.JSONEq(t, `"done"`, string(run.Output))
	require.Equal(t, epoch.Add(2*time.Second), run.EndedAt)
	require.Equal(t, 1, m.finished.len())
}

func TestFactsAboutUnknownRunsAreDropped(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{})
	m.RunStarted(id(1), epoch)
	m.RunFinished(id(1), state.Completed, nil, epoch)
	m.RunWaits(id(1), "why")
	require.Empty(t, m.runs)
	require.Zero(t, m.bytes)
}

func TestEventRuns(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{})
	for n := 1; n <= 3; n++ {
		m.RunScheduled(scheduled(n, 100))
	}
	m.RunScheduled(scheduled(4, 101))
	skipped := scheduled(5, 100)
	existing := id(1)
	skipped.Status, skipped.Reason, skipped.ExistingRunID = state.Skipped, "Singleton", &existing
	require.True(t, m.RunScheduled(skipped))
	require.False(t, m.RunScheduled(skipped), "it is known")
	m.RunScheduled(Run{ID: id(6), Status: state.Scheduled}) // no event

	runs, err := m.EventRuns(t.Context(), id(100))
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(1), id(2), id(3)}, runIDs(runs))

	run, err := m.Run(t.Context(), id(5))
	require.NoError(t, err)
	require.Equal(t, skipped, run)

	runs, err = m.EventRuns(t.Context(), id(999))
	require.NoError(t, err)
	require.Empty(t, runs)

	runs, err = m.RecentRuns(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(6), id(5), id(4)}, runIDs(runs))
}

func TestEndedRunsMakeRoomInTheOrderOfTheirEnd(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{Runs: 2})
	for n := 1; n <= 6; n++ {
		m.RunScheduled(scheduled(n, 100))
	}
	for i, n := range []int{5, 2, 6, 1} {
		m.RunFinished(id(n), state.Completed, nil, epoch.Add(time.Duration(i)*time.Second))
	}
	runs, err := m.RecentRuns(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(6), id(4), id(3), id(1)}, runIDs(runs), "the unfinished and the last two")
	runs, err = m.EventRuns(t.Context(), id(100))
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(1), id(3), id(4), id(6)}, runIDs(runs))

	for _, n := range []int{3, 4} {
		m.RunFinished(id(n), state.Failed, nil, epoch.Add(time.Hour))
	}
	m.RunScheduled(Run{ID: id(7), Status: state.Skipped})
	m.RunScheduled(Run{ID: id(8), Status: state.Skipped})
	require.Empty(t, m.byEvent, "no list of an event outlives its runs")
	require.Len(t, m.runs, 2)
}

func TestEventsMakeRoomByCount(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{Events: 3})
	for n := 1; n <= 5; n++ {
		m.EventReceived(event(n, "a"), n)
	}
	events, err := m.Events(t.Context(), EventFilter{})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(5), id(4), id(3)}, eventIDs(events))
	_, err = m.Event(t.Context(), id(2))
	require.ErrorIs(t, err, ErrEventNotFound)
	got, err := m.Event(t.Context(), id(3))
	require.NoError(t, err)
	require.Equal(t, Event{Event: event(3, "a"), ReceivedAt: epoch.Add(3 * time.Second), Matched: 3}, got)
}

func TestTheOldestMakesRoomByBytes(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{Bytes: 9_800})
	big := bytes.Repeat([]byte("x"), 3000)
	m.EventReceived(&bus.Event{InternalID: id(1), Name: "a", Data: big}, 0) // at 1 s
	for n := 10; n <= 11; n++ {
		m.RunScheduled(scheduled(n, 1))
		m.RunFinished(id(n), state.Completed, big, epoch.Add(time.Duration(n-8)*time.Second)) // at 2 s, 3 s
	}
	require.LessOrEqual(t, m.bytes, int64(9_800))
	_, err := m.Event(t.Context(), id(1))
	require.ErrorIs(t, err, ErrEventNotFound, "it is older than both runs")
	require.Len(t, m.runs, 2)

	for n := 2; n <= 4; n++ { // at 2 s, 3 s, 4 s
		m.EventReceived(&bus.Event{InternalID: id(n), Name: "a", Data: big}, 0)
	}
	require.LessOrEqual(t, m.bytes, int64(9_800))
	_, err = m.Run(t.Context(), id(10))
	require.ErrorIs(t, err, ErrRunNotFound)

	m.EventReceived(&bus.Event{InternalID: id(5), Name: "a", Data: bytes.Repeat(big, 4)}, 0)
	require.Zero(t, m.bytes, "one that is too large leaves nothing")
	require.Empty(t, m.runs)
	require.Empty(t, m.events)
}

func TestSizesAreGivenBack(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{Runs: 1, Events: 1})
	for n := 1; n <= 200; n++ {
		m.EventReceived(event(n, "some/name"), 1)
		m.RunScheduled(scheduled(n, n))
		m.RunFinished(id(n), state.Completed, json.RawMessage(`{"n":1}`), epoch)
	}
	require.Equal(t, m.finished.at(0).more.bytes+m.arrived.at(0).bytes, m.bytes)
	m.EventReceived(event(200, "again"), 1)
	require.Equal(t, 1, m.arrived.len(), "a repeated report is not a second event")
}

func TestEventsFilter(t *testing.T) {
	t.Parallel()
	m := newTestMemory(Limits{})
	m.EventReceived(event(1, "a"), 1)                     // at 1 s
	m.EventReceived(event(9, "b"), 0)                     // at 2 s, an id from the future
	m.EventReceived(event(3, "inngest/function.done"), 0) // at 3 s
	m.EventReceived(event(2, "a"), 0)                     // at 4 s, out of order
	tests := map[string]struct {
		filter EventFilter
		want   []int
	}{
		"all but internal": {EventFilter{}, []int{9, 2, 1}},
		"internal, too":    {EventFilter{Internal: true}, []int{9, 3, 2, 1}},
		"limit":            {EventFilter{Limit: 2}, []int{9, 2}},
		"limit one":        {EventFilter{Limit: 1}, []int{9}},
		"name":             {EventFilter{Name: "a"}, []int{2, 1}},
		"no such name":     {EventFilter{Name: "c"}, []int{}},
		"cursor":           {EventFilter{Before: id(9)}, []int{2, 1}},
		"cursor between":   {EventFilter{Before: id(2)}, []int{1}},
		"after":            {EventFilter{ReceivedAfter: epoch.Add(time.Second)}, []int{9, 2}},
		"before":           {EventFilter{ReceivedBefore: epoch.Add(2 * time.Second)}, []int{9, 1}},
		"between": {EventFilter{
			ReceivedAfter:  epoch.Add(time.Second),
			ReceivedBefore: epoch.Add(3 * time.Second)}, []int{9}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := m.Events(t.Context(), test.filter)
			require.NoError(t, err)
			want := make([]ulid.ULID, len(test.want))
			for i, n := range test.want {
				want[i] = id(n)
			}
			require.Equal(t, want, eventIDs(events))
		})
	}
}

// TestConcurrentUse is for the race detector; the bounds hold all the time.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := NewMemory(Limits{Runs: 50, Events: 50})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := w * 1000; n < w*1000+500; n++ {
				m.EventReceived(event(n, "a"), 1)
				m.RunScheduled(scheduled(n, n))
				m.RunStarted(id(n), epoch)
				m.RunFinished(id(n), state.Completed, json.RawMessage(`1`), epoch)
			}
		})
	}
	writers.Go(func() {
		for n := range 200 {
			events, err := m.Events(t.Context(), EventFilter{Limit: 20})
			require.NoError(t, err)
			require.LessOrEqual(t, len(events), 20)
			runs, err := m.RecentRuns(t.Context(), 1000)
			require.NoError(t, err)
			require.LessOrEqual(t, len(runs), 50+4)
			_, _ = m.EventRuns(t.Context(), id(n)) // may be gone
			_, _ = m.Run(t.Context(), id(n))
		}
	})
	writers.Wait()
	require.Equal(t, 50, m.finished.len())
	require.Equal(t, 50, m.arrived.len())
	require.Len(t, m.runs, 50)
	require.Len(t, m.byEvent, 50)
}

// BenchmarkRunWithEvent is what one event that starts one run costs.
func BenchmarkRunWithEvent(b *testing.B) {
	m := NewMemory(Limits{})
	events := make([]*bus.Event, b.N)
	runs := make([]Run, b.N)
	for n := range b.N {
		events[n] = event(n, "bench/event")
		runs[n] = scheduled(n, n)
	}
	output := json.RawMessage(`{"ok":true}`)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		m.EventReceived(events[n], 1)
		m.RunScheduled(runs[n])
		m.RunStarted(runs[n].ID, epoch)
		m.RunFinished(runs[n].ID, state.Completed, output, epoch)
	}
}

// BenchmarkEvents is one page of the event list, with the store full.
func BenchmarkEvents(b *testing.B) {
	for _, filter := range []EventFilter{{Limit: 20}, {Limit: 51, Name: "bench/3"}} {
		b.Run(fmt.Sprintf("limit=%d", filter.Limit), func(b *testing.B) {
			m := NewMemory(Limits{})
			for n := range 100_000 {
				m.EventReceived(event(n, fmt.Sprintf("bench/%d", n%100)), 1)
			}
			for b.Loop() {
				_, err := m.Events(b.Context(), filter)
				require.NoError(b, err)
			}
		})
	}
}

// stream is an EventSource of events by sequence.
type stream map[uint64]*bus.Event

func (s stream) EventAt(_ context.Context, seq uint64) (*bus.Event, error) {
	if e, ok := s[seq]; ok {
		return e, nil
	}
	return nil, errors.New("no message")
}

func TestPublishedEventsStayInTheirStream(t *testing.T) {
	t.Parallel()
	source := stream{}
	for n := 1; n <= 3; n++ {
		e := event(n, "a")
		e.Seq = uint64(n)
		source[e.Seq] = e
	}
	m := newTestMemory(Limits{Source: source})
	for n := 1; n <= 3; n++ {
		m.EventReceived(source[uint64(n)], n)
	}
	require.Equal(t, int64(3*eventOverhead), m.bytes, "bodies are not kept")
	got, err := m.Event(t.Context(), id(2))
	require.NoError(t, err)
	require.Equal(t, Event{Event: source[2], ReceivedAt: epoch.Add(2 * time.Second), Matched: 2}, got)

	delete(source, 2) // it expired
	_, err = m.Event(t.Context(), id(2))
	require.ErrorIs(t, err, ErrEventNotFound)
	events, err := m.Events(t.Context(), EventFilter{})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(3), id(1)}, eventIDs(events))
}

func TestEventsBefore(t *testing.T) {
	t.Parallel()
	source := stream{}
	for n := 1; n <= 4; n++ {
		e := event(n, "a")
		e.Seq = uint64(n)
		source[e.Seq] = e
	}
	m := newTestMemory(Limits{Source: source, Events: 3})
	m.EventReceived(source[3], 1) // while the others were being read
	m.EventReceived(source[4], 0)
	var past []Past
	for n := 1; n <= 3; n++ {
		past = append(past, Past{ID: id(n), Name: "a", Seq: uint64(n), ReceivedAt: epoch.Add(-time.Hour)})
	}
	m.EventsBefore(past)
	events, err := m.Events(t.Context(), EventFilter{})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(4), id(3), id(2)}, eventIDs(events), "the oldest made room")
	require.Equal(t, Event{Event: source[2], ReceivedAt: epoch.Add(-time.Hour), Matched: -1}, events[2])
	require.Equal(t, 1, events[1].Matched, "what this process has seen stays")
	events, err = m.Events(t.Context(), EventFilter{ReceivedAfter: epoch})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(4), id(3)}, eventIDs(events))
}
