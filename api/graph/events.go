package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// The sizes of a page of events (graphql §8).
const (
	maxEvents     = 51
	defaultEvents = 40
)

func (q queries) EventV2(ctx context.Context, id ulid.ULID) (*generated.EventV2, error) {
	event, err := q.reader.Event(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		return nil, fmt.Errorf("event not found: %s", id)
	}
	if err != nil {
		return nil, err
	}
	return toEventV2(event)
}

func (q queries) EventsV2(ctx context.Context, first int, after *string, filter generated.EventsFilter) (*generated.EventsConnection, error) {
	selected := view.EventFilter{
		Names: filter.EventNames, From: filter.From, Until: q.now(), Internal: filter.IncludeInternalEvents,
		Limit: pageSize(first, maxEvents, defaultEvents),
	}
	if filter.Until != nil {
		selected.Until = *filter.Until
	}
	if after != nil {
		before, err := view.ParseEventCursor(*after)
		if err != nil {
			return nil, err
		}
		selected.Before = before
	}
	events, err := q.reader.Events(ctx, selected)
	if err != nil {
		return nil, err
	}
	page := &generated.EventsConnection{
		Edges: []*generated.EventsEdge{}, Filter: selected,
		PageInfo: &generated.PageInfo{HasNextPage: len(events) == selected.Limit, HasPreviousPage: after != nil},
	}
	for _, event := range events {
		event.User = nil // which lists leave out
		node, err := toEventV2(event)
		if err != nil {
			return nil, err
		}
		operationOf(ctx).expect(event.InternalID)
		page.Edges = append(page.Edges, &generated.EventsEdge{Node: node, Cursor: view.EventCursor(event.InternalID)})
	}
	if n := len(page.Edges); n > 0 {
		page.PageInfo.StartCursor, page.PageInfo.EndCursor = &page.Edges[0].Cursor, &page.Edges[n-1].Cursor
	}
	return page, nil
}

// pageSize is what was asked for, or the usual size when that is out of bounds.
func pageSize(asked, most, usual int) int {
	if asked < 1 || asked > most {
		return usual
	}
	return asked
}

func (f eventsFields) TotalCount(ctx context.Context, obj *generated.EventsConnection) (int, error) {
	return f.reader.CountEvents(ctx, obj.Filter)
}

func (f eventV2Fields) Runs(ctx context.Context, obj *generated.EventV2) ([]*generated.FunctionRunV2, error) {
	rows, err := operationOf(ctx).runsOf(ctx, obj.ID)
	if err != nil {
		return nil, err
	}
	runs := []*generated.FunctionRunV2{}
	for _, row := range rows {
		runs = append(runs, toRun(row))
	}
	return runs, nil
}

func toEventV2(e view.Event) (*generated.EventV2, error) {
	raw, err := rawEvent(e)
	if err != nil {
		return nil, err
	}
	version := ""
	if e.Version != nil {
		version = *e.Version
	}
	return &generated.EventV2{
		EnvID: uuid.Nil, ID: e.InternalID, IdempotencyKey: &e.ID, Name: e.Name, OccurredAt: e.Timestamp.UTC(),
		ReceivedAt: e.ReceivedAt.UTC(), Raw: raw, Version: &version,
	}, nil
}

// rawEvent is an event with its keys in alphabetical order.
func rawEvent(e view.Event) (string, error) {
	raw := map[string]any{"data": e.Data, "id": e.ID, "name": e.Name, "ts": e.Timestamp.UnixMilli(), "v": e.Version}
	if user := userOf(e); user != nil {
		raw["user"] = user
	}
	text, err := json.Marshal(raw)
	return string(text), err
}

// userOf is nil when the sender set none.
func userOf(e view.Event) json.RawMessage {
	switch string(e.User) {
	case "", "null", "{}":
		return nil
	}
	return e.User
}

// payload is an event as functions get it.
type payload struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Data    json.RawMessage `json:"data"`
	User    json.RawMessage `json:"user,omitempty"`
	Time    int64           `json:"ts"`
	Version *string         `json:"v,omitempty"`
}

func payloadOf(e view.Event) (string, error) {
	text, err := json.Marshal(payload{e.ID, e.Name, e.Data, userOf(e), e.Timestamp.UnixMilli(), e.Version})
	return string(text), err
}
