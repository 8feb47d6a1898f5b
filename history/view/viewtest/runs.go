package viewtest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/search"
	"jetstep/history/trace"
	"jetstep/history/view"
)

// Runs lists runs as both sources do.
func (s *Store) Runs(_ context.Context, q view.RunQuery) ([]view.Run, error) {
	runs := s.selectRuns(q.RunFilter)
	if len(q.Orders) == 0 && q.Source == view.FromSpans {
		q.Orders = []view.Order{{Field: view.StartedAt, Descending: true}}
	}
	slices.SortFunc(runs, func(a, b view.Run) int { return q.Compare(q.Cursor(&a), q.Cursor(&b)) })
	if q.After != nil {
		after := complete(q, runs)
		runs = slices.DeleteFunc(runs, func(run view.Run) bool { return q.Compare(q.Cursor(&run), after) <= 0 })
	}
	return runs[:min(q.Limit, len(runs))], nil
}

// CountRuns counts runs.
func (s *Store) CountRuns(_ context.Context, f view.RunFilter) (int, error) {
	return len(s.selectRuns(f)), nil
}

// complete adds the sort keys that a cursor of a list without an order lacks.
func complete(q view.RunQuery, runs []view.Run) view.Cursor {
	for i := range runs {
		if len(q.After.Keys) == 0 && runs[i].ID.String() == q.After.ID {
			return q.Cursor(&runs[i])
		}
	}
	return *q.After
}

func (s *Store) selectRuns(f view.RunFilter) []view.Run {
	rows := s.RunRows
	if f.Source == view.FromSpans {
		rows = s.fromSpans()
	}
	var found []view.Run
	for _, run := range rows {
		at := run.Time(f.TimeField)
		switch {
		case run.Status == view.Skipped,
			at.Before(f.From),
			f.Source == view.FromSpans && at.After(f.Until),
			f.Source == view.FromRuns && !at.Before(f.Until),
			len(f.Statuses) > 0 && !slices.Contains(f.Statuses, run.Status),
			len(f.FunctionIDs) > 0 && !slices.Contains(f.FunctionIDs, run.FunctionID),
			len(f.AppIDs) > 0 && !slices.Contains(f.AppIDs, run.AppID),
			f.Source == view.FromSpans && f.Deferred != nil && *f.Deferred != run.Deferred,
			!s.matches(f.Search, run):
			continue
		}
		found = append(found, run)
	}
	return found
}

// fromSpans makes runs of their root spans (database §13.3).
func (s *Store) fromSpans() []view.Run {
	var runs []view.Run
	for _, row := range s.SpanRows {
		if row.Name != trace.NameRun || row.DebugRunID != "" {
			continue
		}
		run, last := s.runOf(row), row
		for _, other := range s.SpanRows {
			if other.RunID == row.RunID && other.DynamicID == row.DynamicID && later(other, last) {
				last = other
			}
		}
		run.EndedAt, run.Status = last.End.UTC(), statusOf(last)
		runs = append(runs, run)
	}
	return runs
}

func later(a, b trace.Row) bool {
	return cmp.Or(a.End.Compare(b.End), cmp.Compare(a.SpanID, b.SpanID)) > 0
}

func (s *Store) runOf(root trace.Row) view.Run {
	run := view.Run{
		ID: ulid.MustParse(root.RunID), AppID: uuid.MustParse(root.AppID), FunctionID: uuid.MustParse(root.FunctionID),
		TraceID: root.TraceID, QueuedAt: root.Start.UTC().Truncate(time.Microsecond), StartedAt: root.Start.UTC().Truncate(time.Microsecond),
	}
	var attributes struct {
		Events []ulid.ULID `json:"_inngest.event.ids"`
		Batch  *ulid.ULID  `json:"_inngest.batch.id"`
		Cron   *string     `json:"_inngest.cron.schedule"`
	}
	if json.Unmarshal(root.Attributes, &attributes) == nil {
		run.TriggerIDs, run.BatchID, run.Cron = attributes.Events, attributes.Batch, attributes.Cron
	}
	return run
}

func statusOf(row trace.Row) view.Status {
	var attributes struct {
		Status string `json:"_inngest.dynamic.status"`
	}
	_ = json.Unmarshal(row.Attributes, &attributes) // none: it is running
	switch attributes.Status {
	case "Failed", "Errored":
		return view.Failed
	case "TimedOut", "Cancelled":
		return view.Cancelled
	case "Scheduled", "Queued":
		return view.Queued
	case "Completed":
		return view.Completed
	case "Skipped":
		return view.Skipped
	default:
		return view.Running
	}
}

// matches looks only at events whose own id is the internal one, as the
// original does.
func (s *Store) matches(q search.Query, run view.Run) bool {
	if len(q.All) == 0 {
		return true
	}
	var record search.Record
	for _, e := range s.EventRows {
		if slices.Contains(run.TriggerIDs, e.InternalID) && e.ID == e.InternalID.String() {
			record.Events = append(record.Events, search.Event{
				ID: e.ID, Name: e.Name, Version: e.Version, Time: e.Timestamp.UnixMilli(), Data: e.Data,
			})
		}
	}
	for _, row := range s.SpanRows {
		if row.RunID == run.ID.String() && row.Output != nil {
			record.Outputs = append(record.Outputs, row.Output)
		}
	}
	return q.Matches(record)
}
