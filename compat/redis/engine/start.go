package engine

import (
	"context"
	"encoding/json"
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
	FunctionID      uuid.UUID
	FunctionVersion int
	Slug            string
	AppID           uuid.UUID
	// Source is what makes two starts the same run (redis-state §6.1).
	Source string
	// Events are the input as it is stored, with their internal ids.
	Events   []json.RawMessage
	EventIDs []ulid.ULID
	Cron     string
	// At is when it is due, in milliseconds; 0 for now.
	At int64
	// Cancels are the events that cancel the run.
	Cancels []Cancel
}

// Cancel is an event that cancels a run.
type Cancel struct {
	Event      string
	Expression string // interpolated; "" is any
	Expires    int64  // milliseconds; 0 is in a year
}

// Start starts a run, or finds the one that the same source has started. It tells
// whether that one has ended.
func (n *Node) Start(ctx context.Context, s *Start) (run ulid.ULID, ended bool, err error) {
	now := time.Now()
	id := format.Identifier{
		RunID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), FunctionID: s.FunctionID, Version: s.FunctionVersion,
		EventID: s.EventIDs[0], EventIDs: s.EventIDs, Key: function.IdempotencyKey(s.FunctionID, s.Source),
		AccountID: n.Account, EnvironmentID: n.Environment, AppID: s.AppID, Priority: new(int64),
	}
	claim, err := n.runs.Claim(ctx, n.Account, id.Key, id.RunID)
	if err != nil {
		return run, false, fmt.Errorf("start a run of %s: %w", s.Slug, err)
	}
	if claim.Ended {
		return claim.RunID, true, nil
	}
	id.RunID = claim.RunID
	if err := n.begin(ctx, s, id, now); err != nil {
		return run, false, fmt.Errorf("start run %s of %s: %w", id.RunID, s.Slug, err)
	}
	return id.RunID, false, nil
}

// begin makes the state of a run and its first job; what is there stays.
func (n *Node) begin(ctx context.Context, s *Start, id format.Identifier, now time.Time) error {
	events, err := format.Encode(s.Events)
	if err != nil {
		return err
	}
	names, err := EventMap(s.Events, s.EventIDs)
	if err != nil {
		return err
	}
	debounced := false
	existed, err := n.runs.Create(ctx, &runs.New{Events: events, Metadata: format.Metadata{
		ID: id, Status: format.StatusScheduled, Version: 1, RequestVersion: format.RequestUndecided,
		SpanID: SpanOf(id.RunID),
		Context: format.Context{
			FunctionSlug: s.Slug, Cron: s.Cron, Debounce: &debounced, EventMap: names,
		},
	}})
	if err != nil {
		return err
	}
	if err := n.saveCancels(ctx, s, &id, now); err != nil {
		return err
	}
	due := s.At
	if due == 0 {
		due = now.UnixMilli()
	}
	job := state.Job{ID: function.StartJob(runKey(&id)), Kind: state.JobStart, Due: due}
	item, err := n.itemOf(&id, job, nil)
	if err != nil {
		return err
	}
	if _, err := n.jobs.Enqueue(ctx, now, item); err != nil {
		return err
	}
	n.expectIn(id.FunctionID.String(), job)
	n.tellBegun(ctx, s, &id, existed, now)
	return nil
}

// saveCancels adds the pauses by which events cancel the run. A run of a batch has
// none: it is not of one event.
func (n *Node) saveCancels(ctx context.Context, s *Start, id *format.Identifier, now time.Time) error {
	for _, c := range s.Cancels {
		if c.Expression == "false" || id.BatchID != nil {
			continue
		}
		if err := n.runs.SavePause(ctx, CancelPauseOf(id, c, now), now, false); err != nil {
			return err
		}
	}
	return nil
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
		if about.ID == "" {
			about.ID = internal
		}
		ids[about.ID] = internal
	}
	text, err := json.Marshal(ids)
	return string(text), err
}

// SpanOf is the id of a run's span.
func SpanOf(run ulid.ULID) string { return function.HashHex(run.String()) }
