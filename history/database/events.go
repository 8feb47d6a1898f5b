package database

import (
	"context"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// EventFilter selects events. Fields that are zero do not select.
type EventFilter struct {
	Names    []string  // any of
	From     time.Time // received at or after
	Until    time.Time // received at or before
	Internal bool      // with the server's own events, inngest/…
	Before   ulid.ULID // only smaller internal ids: the cursor of a page
	After    ulid.ULID // only larger ones
	Limit    int       // at most so many; 0 for all
}

func (f *EventFilter) where(enc encoding) (string, []any) {
	var c conditions
	if len(f.Names) > 0 {
		marks, args := inList(f.Names)
		c.add(`event_name IN (`+marks+`)`, args...)
	}
	if !f.From.IsZero() {
		c.add(`received_at >= ?`, enc.time(f.From))
	}
	if !f.Until.IsZero() {
		c.add(`received_at <= ?`, enc.time(f.Until))
	}
	if !f.Internal {
		c.add(`event_name NOT LIKE 'inngest/%'`)
	}
	if !f.Before.IsZero() {
		c.add(`internal_id < ?`, f.Before.Bytes())
	}
	if !f.After.IsZero() {
		c.add(`internal_id > ?`, f.After.Bytes())
	}
	return c.where(), c.args
}

// Events lists events, the largest internal id first (database §13.4).
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	where, args := f.where(s.enc)
	text := `SELECT ` + eventColumns + ` FROM events` + where + ` ORDER BY internal_id DESC`
	if f.Limit > 0 {
		text, args = text+` LIMIT ?`, append(args, f.Limit)
	}
	return collect(ctx, s, "events", text, args, scanEvent)
}

// CountEvents counts what the filter selects, its limit and cursors aside.
func (s *Store) CountEvents(ctx context.Context, f EventFilter) (int, error) {
	f.Before, f.After = ulid.ULID{}, ulid.ULID{}
	where, args := f.where(s.enc)
	return first(ctx, s, "number of events", `SELECT count(*) FROM events`+where, args, scanInt)
}

// Event finds an event by its internal id, or fails with [ErrNotFound].
func (s *Store) Event(ctx context.Context, id ulid.ULID) (Event, error) {
	return first(ctx, s, "event", `SELECT `+eventColumns+` FROM events WHERE internal_id = ? LIMIT 1`, []any{id.Bytes()}, scanEvent)
}

// EventsByID finds events by their internal ids; those that are not there are
// left out.
func (s *Store) EventsByID(ctx context.Context, ids []ulid.ULID) ([]Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var raw [][]byte
	for _, id := range ids {
		raw = append(raw, id.Bytes())
	}
	marks, args := inList(raw)
	return collect(ctx, s, "events", `SELECT `+eventColumns+` FROM events WHERE internal_id IN (`+marks+`) ORDER BY internal_id`, args, scanEvent)
}

func scanEvent(row scanner, e *Event) error {
	return row.Scan(ulidOf{&e.InternalID}, timeOf{&e.ReceivedAt}, &e.ID, &e.Name, jsonOf{&e.Data}, jsonOf{&e.User},
		textOf{&e.Version}, timeOf{&e.Timestamp})
}

func scanInt(row scanner, n *int) error { return row.Scan(n) }

// Batch finds a batch by its id, or fails with [ErrNotFound].
func (s *Store) Batch(ctx context.Context, id ulid.ULID) (Batch, error) {
	return first(ctx, s, "batch", `SELECT `+batchColumns+` FROM event_batches WHERE id = ?`, []any{s.enc.ulidText(id)}, scanBatch)
}

func scanBatch(row scanner, b *Batch) error {
	return row.Scan(ulidOf{&b.ID}, uuidOf{&b.AccountID}, uuidOf{&b.WorkspaceID}, uuidOf{&b.AppID}, uuidOf{&b.FunctionID},
		ulidOf{&b.RunID}, timeOf{&b.StartedAt}, timeOf{&b.ExecutedAt}, joinedOf{&b.EventIDs})
}

// conditions are joined with "and".
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}
