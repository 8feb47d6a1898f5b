package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// Start is a run to be started.
type Start struct {
	// RunID is the run's, zero for a new one.
	RunID           ulid.ULID
	FunctionID      uuid.UUID
	FunctionVersion int
	Slug            string
	AppID           uuid.UUID
	// Source is what makes two starts the same run (redis-state §6.1). Key is
	// what is made of it (function.IdempotencyKey); one of the two is given.
	Source, Key string
	// Events are the input as SDKs see it, with their internal ids.
	Events   []json.RawMessage
	EventIDs []ulid.ULID
	Cron     string
	// BatchID is of the batch that collected the events, zero for none.
	BatchID   ulid.ULID
	Debounced bool // the event was the last of several
	// Original is the run that is made again, zero for none; Steps are what it
	// remembers from that one, Inputs new inputs of steps.
	Original      ulid.ULID
	Steps, Inputs []state.Step
	Debug         *state.Debug // nil for most
	// At is when it is due, in milliseconds; 0 for now.
	At int64
	// Flow is what flow control has to know of the run.
	Flow Flow
	// Cancels are the events that cancel the run.
	Cancels []Cancel
}

// Flow is what limits say of a run, by the values of their keys at its start
// (redis-queue §10, §11, §15).
type Flow struct {
	Priority    int64 // seconds by which it goes before others
	Concurrency []format.ConcurrencyKey
	Semaphores  []format.Semaphore
	Throttle    *format.Throttle
	Singleton   string        // key that no other run may have, "" for none
	StartWithin time.Duration // or it is cancelled; 0 for never
}

// Cancel is an event that cancels a run.
type Cancel struct {
	Event      string
	Expression string // interpolated; "" is any
	Expires    int64  // milliseconds; 0 is in a year
}

// ErrSingletonTaken is a start whose singleton's key another run has got: no run
// is made.
var ErrSingletonTaken = errors.New("another run has the key of the singleton")

// Start starts a run, or finds the one that the same source has started. It tells
// whether that one has ended. Broken off at any moment, it can be asked again.
func (n *Node) Start(ctx context.Context, s *Start) (run ulid.ULID, ended bool, err error) {
	now := time.Now()
	b := &beginning{Node: n, Start: s, id: n.identifier(s, now), now: now}
	if err := b.prepare(); err != nil {
		return run, false, fmt.Errorf("start a run of %s: %w", s.Slug, err)
	}
	begun, err := b.atOnce(ctx)
	if err != nil {
		return run, false, fmt.Errorf("start a run of %s: %w", s.Slug, err)
	}
	if begun {
		return b.id.RunID, false, nil
	}
	claim, err := n.runs.Claim(ctx, n.Account, b.id.Key, b.id.RunID)
	if err != nil {
		return run, false, fmt.Errorf("start a run of %s: %w", s.Slug, err)
	}
	if claim.Ended {
		return claim.RunID, true, nil
	}
	b.id.RunID = claim.RunID
	if err := b.begin(ctx); err != nil {
		return claim.RunID, false, fmt.Errorf("start run %s of %s: %w", claim.RunID, s.Slug, err)
	}
	return claim.RunID, false, nil
}

func (n *Node) identifier(s *Start, now time.Time) format.Identifier {
	id := format.Identifier{
		RunID: s.RunID, FunctionID: s.FunctionID, Version: s.FunctionVersion,
		EventID: s.EventIDs[0], EventIDs: s.EventIDs, Key: s.Key,
		AccountID: n.Account, EnvironmentID: n.Environment, AppID: s.AppID,
		Priority: &s.Flow.Priority, Concurrency: s.Flow.Concurrency, Semaphores: s.Flow.Semaphores,
	}
	if id.RunID.IsZero() {
		id.RunID = ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy())
	}
	if id.Key == "" {
		id.Key = function.IdempotencyKey(s.FunctionID, s.Source)
	}
	if !s.BatchID.IsZero() {
		id.BatchID = &s.BatchID
	}
	if !s.Original.IsZero() {
		id.OriginalRun = &s.Original
	}
	return id
}

// storedEvents are a run's events as they are stored, and their EventMap.
func storedEvents(events []json.RawMessage, internals []ulid.ULID) (text, names string, err error) {
	if text, err = format.Encode((&state.Run{Events: events}).StoredEvents()); err != nil {
		return "", "", err
	}
	names, err = EventMap(events, internals)
	return text, names, err
}

// EventMap are the internal ids of events by their own ids, as the context of a
// run has them (redis-state §5.4).
func EventMap(events []json.RawMessage, internals []ulid.ULID) (string, error) {
	ids := map[string]string{}
	for i, event := range events {
		var about struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(event, &about); err != nil {
			return "", fmt.Errorf("event %d: %w", i, err)
		}
		internal := internals[i].String()
		ids[cmp.Or(about.ID, internal)] = internal
	}
	text, err := json.Marshal(ids)
	return string(text), err
}

func valuesOf(steps []state.Step) []runs.Value {
	values := make([]runs.Value, len(steps))
	for i, s := range steps {
		values[i] = runs.Value{Step: s.ID, JSON: string(s.Memo)}
	}
	return values
}

// SpanOf is the id of a run's span.
func SpanOf(run ulid.ULID) string { return function.HashHex(run.String()) }
