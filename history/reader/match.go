package reader

import (
	"context"
	"encoding/json"

	"github.com/oklog/ulid/v2"

	"jetstep/history/database"
	"jetstep/history/search"
)

// matching keeps the runs that fulfil a query. Unlike in the original, events
// with an id of their sender's match as well, and output is what the run
// returned, not what a step of it did.
func (r *Reader) matching(ctx context.Context, q search.Query, runs []database.Run) ([]database.Run, error) {
	records := make([]search.Record, len(runs))
	if q.UsesEvents() {
		if err := r.addEvents(ctx, runs, records); err != nil {
			return nil, err
		}
	}
	if q.UsesOutputs() {
		ids, _ := convert(runs, nil, func(run database.Run) ulid.ULID { return run.ID })
		outputs, err := r.store.RunOutputs(ctx, ids)
		if err != nil {
			return nil, outage(err)
		}
		for i, run := range runs {
			if output, ok := outputs[run.ID]; ok {
				records[i].Outputs = []json.RawMessage{output}
			}
		}
	}
	var kept []database.Run
	for i, run := range runs {
		if q.Matches(records[i]) {
			kept = append(kept, run)
		}
	}
	return kept, nil
}

func (r *Reader) addEvents(ctx context.Context, runs []database.Run, records []search.Record) error {
	var ids []ulid.ULID
	for _, run := range runs {
		ids = append(ids, run.EventIDs...)
	}
	events, err := r.store.EventsByID(ctx, ids)
	if err != nil {
		return outage(err)
	}
	byID := make(map[ulid.ULID]search.Event, len(events))
	for _, e := range events {
		byID[e.InternalID] = search.Event{
			ID: e.ID, Name: e.Name, Version: optional(e.Version), Time: e.Timestamp.UnixMilli(), Data: e.Data,
		}
	}
	for i, run := range runs {
		for _, id := range run.EventIDs {
			if event, ok := byID[id]; ok {
				records[i].Events = append(records[i].Events, event)
			}
		}
	}
	return nil
}
