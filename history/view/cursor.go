package view

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// Cursor is the place of a run in a sorted list (graphql §9).
type Cursor struct {
	ID   string                 `json:"id"`
	Keys map[string]CursorValue `json:"c"`
}

// CursorValue is a sort key of the run: microseconds in lists from spans, else
// milliseconds, since 1970.
type CursorValue struct {
	Field string `json:"f"`
	Value int64  `json:"v"`
}

// Column is the name by which cursors know a time.
func (s Source) Column(field TimeField) string {
	switch {
	case field == EndedAt && s == FromSpans:
		return "end_time"
	case field == EndedAt:
		return "ended_at"
	case s == FromSpans:
		return "start_time"
	case field == StartedAt:
		return "started_at"
	default:
		return "queued_at"
	}
}

// Key is the time as a cursor has it.
func (s Source) Key(t time.Time) int64 {
	if s == FromSpans {
		return t.UnixMicro()
	}
	return t.UnixMilli()
}

// Time is one of the run's times.
func (r *Run) Time(field TimeField) time.Time {
	switch field {
	case EndedAt:
		return r.EndedAt
	case StartedAt:
		return r.StartedAt
	default:
		return r.QueuedAt
	}
}

// Cursor is the place of a run in the list that q asks for.
func (q *RunQuery) Cursor(run *Run) Cursor {
	return cursor(run.ID, q.keys(), func(i int) int64 { return q.Source.Key(run.Time(q.Orders[i].Field)) })
}

// Compare orders places of the list that q asks for.
func (q *RunQuery) Compare(a, b Cursor) int { return compare(q.keys(), a, b) }

func (q *RunQuery) keys() []sortKey {
	keys := make([]sortKey, len(q.Orders))
	for i, order := range q.Orders {
		keys[i] = sortKey{q.Source.Column(order.Field), order.Descending}
	}
	return keys
}

// sortKey is a column that a list is sorted by.
type sortKey struct {
	column     string
	descending bool
}

func cursor(id ulid.ULID, keys []sortKey, value func(i int) int64) Cursor {
	c := Cursor{ID: id.String(), Keys: map[string]CursorValue{}}
	for i, key := range keys {
		c.Keys[key.column] = CursorValue{Field: key.column, Value: value(i)}
	}
	return c
}

// compare orders places by the sort keys, then by id.
func compare(keys []sortKey, a, b Cursor) int {
	for _, key := range keys {
		c := cmp.Compare(a.Keys[key.column].Value, b.Keys[key.column].Value)
		if key.descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(a.ID, b.ID)
}

// Encode is the opaque form that clients get.
func (c Cursor) Encode() string {
	text, _ := json.Marshal(c) // of text and numbers
	return base64.StdEncoding.EncodeToString(text)
}

// ParseCursor reads a cursor that a client hands back.
func ParseCursor(text string) (*Cursor, error) {
	var c Cursor
	if err := decode(text, &c); err != nil {
		return nil, err
	}
	if _, err := ulid.ParseStrict(c.ID); err != nil {
		return nil, fmt.Errorf("invalid cursor: %w", err)
	}
	return &c, nil
}

// eventCursor is the place of an event in the list of events (graphql §8).
type eventCursor struct {
	ID string `json:"ID"`
}

// EventCursor is the opaque place of an event.
func EventCursor(id ulid.ULID) string {
	text, _ := json.Marshal(eventCursor{id.String()}) // of text
	return base64.StdEncoding.EncodeToString(text)
}

// ParseEventCursor reads what EventCursor made.
func ParseEventCursor(text string) (ulid.ULID, error) {
	var c eventCursor
	if err := decode(text, &c); err != nil {
		return ulid.ULID{}, err
	}
	id, err := ulid.ParseStrict(c.ID)
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("invalid cursor: %w", err)
	}
	return id, nil
}

func decode(text string, into any) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("invalid cursor: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("invalid cursor: %w", err)
	}
	return nil
}

// Column is the name by which cursors know a time of a connection.
func (f WorkerField) Column() string {
	switch f {
	case LastHeartbeatAt:
		return "last_heartbeat_at"
	case DisconnectedAt:
		return "disconnected_at"
	default:
		return "connected_at"
	}
}

// Time is one of the connection's times.
func (w *Worker) Time(field WorkerField) time.Time {
	switch field {
	case LastHeartbeatAt:
		return w.LastHeartbeatAt
	case DisconnectedAt:
		return w.DisconnectedAt
	default:
		return w.ConnectedAt
	}
}

// Cursor is the place of a connection in the list that q asks for.
func (q *WorkerQuery) Cursor(worker *Worker) Cursor {
	return cursor(worker.ID, q.keys(), func(i int) int64 { return worker.Time(q.Orders[i].Field).UnixMilli() })
}

// Compare orders places of the list that q asks for.
func (q *WorkerQuery) Compare(a, b Cursor) int { return compare(q.keys(), a, b) }

func (q *WorkerQuery) keys() []sortKey {
	keys := make([]sortKey, len(q.Orders))
	for i, order := range q.Orders {
		keys[i] = sortKey{order.Field.Column(), order.Descending}
	}
	return keys
}
