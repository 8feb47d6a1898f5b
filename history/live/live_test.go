package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/state"
)

var now = time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)

// database is a history.Reader over what is put into it.
type database struct {
	runs   []history.Run
	events []history.Event
	err    error
}

func (d *database) Run(_ context.Context, id ulid.ULID) (history.Run, error) {
	for _, run := range d.runs {
		if run.ID == id {
			return run, d.err
		}
	}
	return history.Run{}, errors.Join(d.err, history.ErrRunNotFound)
}

func (d *database) EventRuns(_ context.Context, event ulid.ULID) ([]history.Run, error) {
	var runs []history.Run
	for _, run := range d.runs {
		if run.EventID() == event {
			runs = append(runs, run)
		}
	}
	return runs, d.err
}

func (d *database) RecentRuns(context.Context, int) ([]history.Run, error) {
	return slices.Clone(d.runs), d.err
}

func (d *database) Event(_ context.Context, id ulid.ULID) (history.Event, error) {
	for _, e := range d.events {
		if e.InternalID == id {
			return e, d.err
		}
	}
	return history.Event{}, errors.Join(d.err, history.ErrEventNotFound)
}

func (d *database) Events(context.Context, history.EventFilter) ([]history.Event, error) {
	return slices.Clone(d.events), d.err
}

// engine has the runs that are in it, and executes some.
type engine struct {
	runs      map[ulid.ULID]*state.Run
	executing map[ulid.ULID]bool
	err       error
}

func (e *engine) Load(_ context.Context, id ulid.ULID) (*state.Run, error) {
	if run, ok := e.runs[id]; ok {
		return run, nil
	}
	return nil, errors.Join(e.err, state.ErrRunNotFound)
}

func (e *engine) Executing(id ulid.ULID) (time.Time, bool) { return now, e.executing[id] }

// stream has one event, at sequence 7.
type stream struct{}

func (stream) EventAt(_ context.Context, seq uint64) (*bus.Event, error) {
	if seq != 7 {
		return nil, bus.ErrNoEvent
	}
	return &bus.Event{ID: "mine", Name: "demo/a", Data: json.RawMessage(`{"a":1}`), TS: 5}, nil
}

type fixture struct {
	*Overlay
	database *database
	engine   *engine
}

func newFixture() fixture {
	f := fixture{database: &database{}, engine: &engine{runs: map[ulid.ULID]*state.Run{}, executing: map[ulid.ULID]bool{}}}
	f.Overlay = New(Config{Past: f.database, Events: stream{}})
	f.Serve(f.engine)
	return f
}

func (f fixture) run(t *testing.T, id ulid.ULID) history.Run {
	t.Helper()
	run, err := f.Run(t.Context(), id)
	require.NoError(t, err)
	return run
}

func scheduled() history.Run {
	return history.Run{ID: ulid.Make(), FunctionID: uuid.New(), EventIDs: []ulid.ULID{ulid.Make()}, Status: state.Scheduled, QueuedAt: now}
}

func TestRunBeforeTheDatabaseHasIt(t *testing.T) {
	t.Parallel()
	f, run := newFixture(), scheduled()
	_, err := f.Run(t.Context(), run.ID)
	require.ErrorIs(t, err, history.ErrRunNotFound)

	require.True(t, f.RunScheduled(run))
	require.False(t, f.RunScheduled(run))
	require.Equal(t, run, f.run(t, run.ID))
	runs, err := f.EventRuns(t.Context(), run.EventID())
	require.NoError(t, err)
	require.Equal(t, []history.Run{run}, runs)

	f.RunStarted(run.ID)
	require.Equal(t, state.Running, f.run(t, run.ID).Status)
	f.RunWaits(run.ID, "attempt 1 failed")
	require.Equal(t, "attempt 1 failed", f.run(t, run.ID).Reason)
	f.RunFinished(run.ID, state.Completed, json.RawMessage(`1`), now.Add(time.Second))
	f.RunFinished(run.ID, state.Failed, nil, now)
	f.RunStarted(run.ID)
	ended := run
	ended.Status, ended.Output, ended.EndedAt = state.Completed, json.RawMessage(`1`), now.Add(time.Second)
	require.Equal(t, ended, f.run(t, run.ID), "the first end counts, and nothing is waited for any more")

	f.RunStarted(ulid.Make())
	f.RunFinished(ulid.Make(), state.Failed, nil, now) // nobody knows it
}

func TestRunThatTheDatabaseHas(t *testing.T) {
	t.Parallel()
	f, run := newFixture(), scheduled()
	f.database.runs = []history.Run{run}
	require.Equal(t, run, f.run(t, run.ID))
	f.engine.executing[run.ID] = true
	require.Equal(t, state.Running, f.run(t, run.ID).Status, "its first call is being made")
	f.RunWaits(run.ID, "retry")
	require.Equal(t, "retry", f.run(t, run.ID).Reason)
	f.RunWaits(run.ID, "")
	require.Empty(t, f.run(t, run.ID).Reason)

	f.RunScheduled(run)
	runs, err := f.EventRuns(t.Context(), run.EventID())
	require.NoError(t, err)
	require.Len(t, runs, 1, "once")
	f.RunFinished(run.ID, state.Failed, json.RawMessage(`{}`), now)
	require.Equal(t, state.Failed, f.run(t, run.ID).Status, "the database is behind")

	f.database.runs[0].Status, f.database.runs[0].Reason = state.Skipped, "Singleton"
	require.Equal(t, f.database.runs[0], f.run(t, run.ID), "what has ended stays as it is")
}

func TestRunThatOnlyTheEngineHas(t *testing.T) {
	t.Parallel()
	f := newFixture()
	live := &state.Run{
		ID: ulid.Make(), FunctionID: uuid.New(), FunctionVersion: 3, EventIDs: []ulid.ULID{ulid.Make()}, QueuedAt: now.UnixMilli(),
		StartedAt: now.UnixMilli(), Cron: "* * * * *", Original: ulid.Make(), Flow: &state.Flow{BatchID: ulid.Make()},
	}
	f.engine.runs[live.ID] = live
	require.Equal(t, history.Run{
		ID: live.ID, FunctionID: live.FunctionID, EventIDs: live.EventIDs, Status: state.Running, QueuedAt: now,
		Cron: live.Cron, OriginalRunID: &live.Original, BatchID: &live.Flow.BatchID,
	}, f.run(t, live.ID))
	require.Nil(t, FromRun(&state.Run{Flow: &state.Flow{}}).BatchID)
}

func TestRunWhoseOwnerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture()
	f.cfg.Engine = silent{}
	_, err := f.Run(t.Context(), ulid.Make())
	require.ErrorIs(t, err, history.ErrUnavailable)
}

type silent struct{ Engine }

func (silent) Load(context.Context, ulid.ULID) (*state.Run, error) { return nil, bus.ErrNobodyAnswers }

func TestRecentRuns(t *testing.T) {
	t.Parallel()
	f := newFixture()
	old, latest, skipped := scheduled(), scheduled(), scheduled()
	old.QueuedAt, skipped.Status = now.Add(-time.Hour), state.Skipped
	f.database.runs = []history.Run{old}
	f.RunScheduled(latest)
	f.RunScheduled(skipped)
	runs, err := f.RecentRuns(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, []history.Run{latest, old}, runs)
	runs, err = f.RecentRuns(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []history.Run{latest}, runs)

	f.database.runs, f.database.err = nil, history.ErrUnavailable
	runs, err = f.RecentRuns(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, []history.Run{latest}, runs, "what is remembered")
	f.database.err = errors.New("no such column")
	_, err = f.RecentRuns(t.Context(), 5)
	require.Error(t, err)
	_, err = f.EventRuns(t.Context(), ulid.Make())
	require.Error(t, err)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f, id := newFixture(), ulid.Make()
	_, err := f.Event(t.Context(), id)
	require.ErrorIs(t, err, history.ErrEventNotFound)
	f.EventReceived(id, 7, 2, now)
	f.EventReceived(id, 8, 3, now) // told again
	event, err := f.Event(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, history.Event{
		InternalID: id, ID: "mine", Name: "demo/a", Data: json.RawMessage(`{"a":1}`), TS: 5, ReceivedAt: now, Matched: 2,
	}, event)

	gone := ulid.Make()
	f.EventReceived(gone, 9, 0, now)
	_, err = f.Event(t.Context(), gone)
	require.ErrorIs(t, err, history.ErrEventNotFound, "the stream has dropped it")

	f.database.events = []history.Event{{InternalID: id}, {InternalID: ulid.Make()}}
	events, err := f.Events(t.Context(), history.EventFilter{})
	require.NoError(t, err)
	require.Equal(t, []int{2, -1}, []int{events[0].Matched, events[1].Matched}, "nobody knows of the second")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture()
	first := scheduled()
	f.RunScheduled(first)
	f.EventReceived(ulid.Make(), 1, 0, now)
	for range maxRuns {
		f.RunScheduled(scheduled())
	}
	for range maxEvents {
		f.EventReceived(ulid.Make(), 1, 0, now)
	}
	for range maxReasons + 10 {
		f.RunWaits(ulid.Make(), "retry")
	}
	_, ok := f.Recent(first.ID)
	require.False(t, ok)
	require.Len(t, f.places, maxRuns)
	require.Len(t, f.runs.items, maxRuns)
	require.Len(t, f.received, maxEvents)
	require.Len(t, f.reasons, maxReasons)
}

func TestOutputsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture()
	quiet := scheduled()
	f.RunScheduled(quiet)
	output := json.RawMessage(`"` + string(bytes.Repeat([]byte("x"), 1<<20)) + `"`)
	var last history.Run
	for range 20 {
		last = scheduled()
		f.RunScheduled(last)
		f.RunFinished(last.ID, state.Completed, output, now)
		require.LessOrEqual(t, f.outputs, maxOutputs)
	}
	require.Equal(t, output, f.run(t, last.ID).Output)
	_, ok := f.Recent(quiet.ID)
	require.True(t, ok, "what takes no room stays")
	total := 0
	for _, run := range f.runs.items {
		total += len(run.Output)
	}
	require.Equal(t, total, f.outputs)
	for range maxRuns {
		f.RunScheduled(scheduled())
	}
	require.Zero(t, f.outputs)
}

func BenchmarkRun(b *testing.B) {
	f := newFixture()
	for b.Loop() {
		run := scheduled()
		f.RunScheduled(run)
		f.RunStarted(run.ID)
		f.RunFinished(run.ID, state.Completed, json.RawMessage(`1`), now)
	}
}
