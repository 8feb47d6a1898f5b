package graph

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// recentEvents is how many events the older list has.
const recentEvents = 50

func (q queries) Event(ctx context.Context, query generated.EventQuery) (*generated.Event, error) {
	id, err := ulid.ParseStrict(query.EventID)
	if err != nil {
		return nil, err
	}
	event, err := q.reader.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	return toEvent(event)
}

func (q queries) Events(ctx context.Context, query generated.EventsQuery) ([]*generated.Event, error) {
	filter := view.EventFilter{Until: q.now(), Limit: recentEvents}
	if query.LastEventID != nil {
		last, err := ulid.ParseStrict(*query.LastEventID)
		if err != nil {
			return nil, err
		}
		filter.Before = last
	}
	found, err := q.reader.Events(ctx, filter)
	if err != nil {
		return nil, err
	}
	events := []*generated.Event{}
	for _, row := range found {
		event, err := toEvent(row)
		if err != nil {
			return nil, err
		}
		operationOf(ctx).expect(row.InternalID)
		events = append(events, event)
	}
	return events, nil
}

// legacyRaw is an event in the older answers, which have other keys.
type legacyRaw struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
	Time int64           `json:"ts"`
}

func toEvent(e view.Event) (*generated.Event, error) {
	raw, err := json.Marshal(legacyRaw{e.ID, e.Name, e.Data, e.Timestamp.UnixMilli()})
	if err != nil {
		return nil, err
	}
	return &generated.Event{
		ID: e.InternalID, ExternalID: &e.ID, Name: &e.Name, CreatedAt: timePtr(e.ReceivedAt),
		Payload: ptr(string(e.Data)), Raw: ptr(string(raw)),
	}, nil
}

func (f eventFields) FunctionRuns(ctx context.Context, obj *generated.Event) ([]*generated.FunctionRun, error) {
	rows, err := startedBy(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	runs := []*generated.FunctionRun{}
	for _, row := range rows {
		runs = append(runs, toLegacyRun(row))
	}
	return runs, nil
}

// startedBy are the runs of an event that were not skipped.
func startedBy(ctx context.Context, event ulid.ULID) ([]view.Run, error) {
	rows, err := operationOf(ctx).runsOf(ctx, event)
	var started []view.Run
	for _, row := range rows {
		if row.Status != view.Skipped {
			started = append(started, row)
		}
	}
	return started, err
}

func (f eventFields) TotalRuns(ctx context.Context, obj *generated.Event) (*int, error) {
	rows, err := startedBy(ctx, obj.ID)
	return ptr(len(rows)), err
}

func (f eventFields) PendingRuns(ctx context.Context, obj *generated.Event) (*int, error) {
	rows, err := startedBy(ctx, obj.ID)
	return ptr(count(rows, view.Running)), err
}

func (f eventFields) Status(ctx context.Context, obj *generated.Event) (*generated.EventStatus, error) {
	rows, err := startedBy(ctx, obj.ID)
	return ptr(eventStatus(rows)), err
}

func count(runs []view.Run, status view.Status) int {
	n := 0
	for _, run := range runs {
		if run.Status == status {
			n++
		}
	}
	return n
}

// eventStatus is the first that fits (graphql §17).
func eventStatus(runs []view.Run) generated.EventStatus {
	failed := count(runs, view.Failed)
	switch {
	case len(runs) == 0:
		return generated.EventStatusNoFunctions
	case failed == len(runs):
		return generated.EventStatusFailed
	case failed > 0:
		return generated.EventStatusPartiallyFailed
	case count(runs, view.Running) > 0:
		return generated.EventStatusRunning
	default:
		return generated.EventStatusCompleted
	}
}

// The sizes of a page of the stream.
const (
	maxStream     = 250
	defaultStream = 20
)

func (q queries) Stream(ctx context.Context, query generated.StreamQuery) ([]*generated.StreamItem, error) {
	filter := view.EventFilter{Until: q.now(), Internal: true, Limit: pageSize(query.Limit, maxStream, defaultStream)}
	for text, bound := range map[*string]*ulid.ULID{query.Before: &filter.Before, query.After: &filter.After} {
		if text == nil {
			continue
		}
		id, err := ulid.ParseStrict(*text)
		if err != nil {
			return nil, err
		}
		*bound = id
	}
	events, err := q.reader.Events(ctx, filter)
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		operationOf(ctx).expect(event.InternalID)
	}
	return streamItems(ctx, events, query.IncludeInternalEvents != nil && *query.IncludeInternalEvents)
}

// internalPrefix is that of the events that the server itself sends.
const internalPrefix = "inngest/"

// streamItems shows internal events only when they are wanted or started a run.
func streamItems(ctx context.Context, events []view.Event, internal bool) ([]*generated.StreamItem, error) {
	items := []*generated.StreamItem{}
	for _, event := range events {
		runs, err := startedBy(ctx, event.InternalID)
		if err != nil {
			return nil, err
		}
		if !internal && len(runs) == 0 && strings.HasPrefix(event.Name, internalPrefix) {
			continue
		}
		item := &generated.StreamItem{
			ID: event.InternalID.String(), Trigger: event.Name, Type: generated.StreamTypeEvent, CreatedAt: streamTime(event),
		}
		for _, run := range runs {
			item.InBatch = item.InBatch || run.BatchID != nil
			if run.Cron != nil {
				item.Type, item.Trigger = generated.StreamTypeCron, *run.Cron
			}
		}
		items = append(items, item)
	}
	return items, nil
}

func streamTime(e view.Event) time.Time { return e.InternalID.Timestamp().UTC() }

func (f streamFields) Runs(ctx context.Context, obj *generated.StreamItem) ([]*generated.FunctionRun, error) {
	id, err := ulid.ParseStrict(obj.ID)
	if err != nil {
		return nil, err
	}
	return eventFields(f).FunctionRuns(ctx, &generated.Event{ID: id})
}
