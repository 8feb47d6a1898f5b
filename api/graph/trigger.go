package graph

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

func (q queries) RunTrigger(ctx context.Context, runID string) (*generated.RunTraceTrigger, error) {
	id, err := parseRunID(runID)
	if err != nil {
		return nil, err
	}
	run, err := q.reader.Run(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("error retrieving run: %w", err)
	}
	events, err := q.reader.EventsByID(ctx, run.TriggerIDs)
	if err != nil {
		return nil, fmt.Errorf("error retrieving events: %w", err)
	}
	return toTraceTrigger(run, events)
}

// toTraceTrigger is what started a run (graphql §11).
func toTraceTrigger(run view.Run, events []view.Event) (*generated.RunTraceTrigger, error) {
	trigger := &generated.RunTraceTrigger{
		IDs: []ulid.ULID{}, Payloads: []string{}, IsBatch: run.BatchID != nil, BatchID: run.BatchID, Cron: run.Cron,
		Timestamp: run.ID.Timestamp().UTC(),
	}
	for i, id := range run.TriggerIDs {
		trigger.IDs = append(trigger.IDs, id)
		if at := id.Timestamp().UTC(); i == 0 || at.Before(trigger.Timestamp) {
			trigger.Timestamp = at
		}
	}
	for _, event := range events {
		text, err := payloadOf(event)
		if err != nil {
			return nil, err
		}
		trigger.Payloads = append(trigger.Payloads, text)
	}
	if run.Cron == nil {
		trigger.EventName = commonName(events)
	}
	return trigger, nil
}

// commonName is nil when the events have several.
func commonName(events []view.Event) *string {
	if len(events) == 0 {
		return nil
	}
	for _, event := range events {
		if event.Name != events[0].Name {
			return nil
		}
	}
	return &events[0].Name
}
