package viewtest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
	"jetstep/history/view"
)

// Apps lists all apps.
func (s *Store) Apps(context.Context) ([]view.App, error) { return s.AppRows, nil }

// Functions lists all functions.
func (s *Store) Functions(context.Context) ([]view.Function, error) { return s.FunctionRows, nil }

// Event finds an event.
func (s *Store) Event(_ context.Context, id ulid.ULID) (view.Event, error) {
	for _, event := range s.EventRows {
		if event.InternalID == id {
			return event, nil
		}
	}
	return view.Event{}, view.ErrNotFound
}

// Events lists events, the largest id first.
func (s *Store) Events(_ context.Context, f view.EventFilter) ([]view.Event, error) {
	found := s.selectEvents(f)
	if f.Limit > 0 {
		found = found[:min(f.Limit, len(found))]
	}
	return found, nil
}

// CountEvents counts without regard to the page.
func (s *Store) CountEvents(_ context.Context, f view.EventFilter) (int, error) {
	f.Before, f.After = ulid.ULID{}, ulid.ULID{}
	return len(s.selectEvents(f)), nil
}

func (s *Store) selectEvents(f view.EventFilter) []view.Event {
	var found []view.Event
	for _, e := range s.EventRows {
		switch {
		case len(f.Names) > 0 && !slices.Contains(f.Names, e.Name),
			!f.Internal && strings.HasPrefix(e.Name, "inngest/"),
			e.ReceivedAt.Before(f.From),
			!f.Until.IsZero() && e.ReceivedAt.After(f.Until),
			!f.Before.IsZero() && e.InternalID.Compare(f.Before) >= 0,
			e.InternalID.Compare(f.After) <= 0:
			continue
		}
		found = append(found, e)
	}
	slices.SortFunc(found, func(a, b view.Event) int { return b.InternalID.Compare(a.InternalID) })
	return found
}

// EventsByID finds events in the order of their ids.
func (s *Store) EventsByID(_ context.Context, ids []ulid.ULID) ([]view.Event, error) {
	var found []view.Event
	for _, e := range s.EventRows {
		if slices.Contains(ids, e.InternalID) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b view.Event) int { return a.InternalID.Compare(b.InternalID) })
	return found, nil
}

// Run finds a run in trace_runs.
func (s *Store) Run(_ context.Context, id ulid.ULID) (view.Run, error) {
	for _, run := range s.RunRows {
		if run.ID == id {
			return run, nil
		}
	}
	return view.Run{}, view.ErrNotFound
}

// RunsOfEvents finds the runs of events, skipped ones too.
func (s *Store) RunsOfEvents(_ context.Context, events []ulid.ULID) (map[ulid.ULID][]view.Run, error) {
	found := map[ulid.ULID][]view.Run{}
	runs := slices.SortedFunc(slices.Values(s.RunRows), func(a, b view.Run) int { return a.ID.Compare(b.ID) })
	for _, run := range runs {
		for _, id := range run.TriggerIDs {
			if slices.Contains(events, id) {
				found[id] = append(found[id], run)
			}
		}
	}
	return found, nil
}

// Spans reads the rows of a run.
func (s *Store) Spans(_ context.Context, run ulid.ULID) ([]trace.Row, error) {
	var found []trace.Row
	for _, row := range s.SpanRows {
		if row.RunID == run.String() {
			found = append(found, row)
		}
	}
	return found, nil
}

// DebugSpans reads the rows of the debugger.
func (s *Store) DebugSpans(_ context.Context, run, session string) ([]trace.Row, error) {
	var found []trace.Row
	for _, row := range s.SpanRows {
		if run != "" && row.DebugRunID == run || run == "" && session != "" && row.DebugSessionID == session {
			found = append(found, row)
		}
	}
	return found, nil
}

// History reads the older history of a run.
func (s *Store) History(_ context.Context, run ulid.ULID) ([]view.HistoryItem, error) {
	return slices.SortedStableFunc(slices.Values(s.HistoryRows[run]), func(a, b view.HistoryItem) int {
		return cmp.Compare(a.CreatedAt.UnixMilli(), b.CreatedAt.UnixMilli())
	}), nil
}

// Worker finds a connection.
func (s *Store) Worker(_ context.Context, id ulid.ULID) (view.Worker, error) {
	for _, worker := range s.WorkerRows {
		if worker.ID == id {
			return worker, nil
		}
	}
	return view.Worker{}, view.ErrNotFound
}

// Workers lists connections.
func (s *Store) Workers(_ context.Context, q view.WorkerQuery) ([]view.Worker, error) {
	var found []view.Worker
	for _, w := range s.WorkerRows {
		if len(q.Statuses) == 0 || slices.Contains(q.Statuses, w.Status) {
			found = append(found, w)
		}
	}
	return found[:min(q.Limit, len(found))], nil
}

// CountWorkers counts connections.
func (s *Store) CountWorkers(ctx context.Context, q view.WorkerQuery) (int, error) {
	q.Limit = len(s.WorkerRows)
	found, err := s.Workers(ctx, q)
	return len(found), err
}
