package logdata

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/migrate"
	"jetstep/state"
)

// moved is an item as partitions take it over.
func (s *Side) moved(item *migrate.Item) (m state.Moved, err error) {
	switch {
	case item.Run != nil:
		return movedRun(item.Run)
	case item.Claim != nil:
		key, ok := state.ClaimKey(item.Claim.Key)
		if !ok {
			return m, fmt.Errorf("%q is no idempotency key", item.Claim.Key)
		}
		m.Fact = &state.KeyClaimed{Key: key, RunID: item.Claim.RunID, Expires: item.Claim.Until}
	case item.Batched != nil:
		b := item.Batched
		m.Function = b.FunctionID
		m.Fact = &state.KeyClaimed{Key: state.CollectedKey(b.FunctionID, b.EventID), RunID: b.EventID, Expires: b.Until}
	case item.Batch != nil:
		b := item.Batch
		m.Function, m.Apart = b.FunctionID, !b.Collects
		m.Fact = &state.BatchPut{Batch: state.Batch{
			ID: b.ID, Due: b.Due, Start: state.Start{FunctionID: b.FunctionID, Events: b.Events, EventIDs: b.EventIDs},
		}}
	case item.Debounce != nil:
		d := item.Debounce
		m.Function = d.FunctionID
		put := &state.DebouncePut{Debounce: state.Debounce{ID: d.ID, Due: d.Due, Until: d.Latest, Start: state.Start{
			FunctionID: d.FunctionID, Events: []json{d.Event}, EventIDs: []ulid.ULID{d.EventID},
		}}}
		if d.Text != nil {
			put.Debounce.Key = state.NewGateKey(state.OfDebounce, d.FunctionID, *d.Text)
		}
		m.Fact = put
	case item.Rate != nil:
		m.Function = item.Rate.FunctionID
		m.Fact = &state.RateCharged{Key: rateKey(item.Rate), TAT: item.Rate.TAT, Expires: item.Rate.Until}
	case item.Cron != nil:
		m.Function = item.Cron.FunctionID
		// The first tick after that is the next one.
		m.Fact = &state.CronTicked{FunctionID: item.Cron.FunctionID, Expr: item.Cron.Expr, At: item.Cron.Next - 1}
	default:
		return m, fmt.Errorf("there is no place for %q", item.Kind)
	}
	return m, nil
}

func rateKey(r *migrate.Rate) state.GateKey {
	return state.NewValueKey(rateKind(r), r.FunctionID, r.Expr, r.Value)
}

func rateKind(r *migrate.Rate) string {
	if r.Throttle {
		return state.OfThrottle
	}
	return state.OfRateLimit
}

var errParallel = errors.New("the run does not say what its waits and cancellations are for")

// movedRun is a run as partitions take it over.
func movedRun(r *migrate.Run) (state.Moved, error) {
	run := r.State
	if len(r.Waits) != len(run.Waits) || len(r.Cancels) != len(run.Cancels) {
		return state.Moved{}, errParallel
	}
	run.Jobs = slices.Clone(run.Jobs) // those that are missing are added
	if run.Flow != nil {
		flow := *run.Flow
		flow.Keys = slices.DeleteFunc(slices.Clone(flow.Keys), func(k state.FlowKey) bool { return k.Expr == "" })
		run.Flow = &flow
	}
	if r.Singleton != "" {
		key, err := singletonKey(run.FunctionID, r.Singleton)
		if err != nil {
			return state.Moved{}, err
		}
		if run.Flow == nil {
			run.Flow = &state.Flow{Admitted: run.StartedAt != 0}
		}
		run.Flow.Singleton = &key
	}
	m := state.Moved{Fact: &state.RunPut{Run: run}, Function: run.FunctionID}
	for i, w := range run.Waits {
		if r.Waits[i].Displaced {
			continue
		}
		watch := state.Watch{Step: w.Step, If: r.Waits[i].If, Expires: r.Waits[i].Expires}
		if w.Kind == state.WaitEvent {
			watch.Event = w.Name
		}
		m.Watches = append(m.Watches, watch)
	}
	for i, event := range run.Cancels {
		m.Watches = append(m.Watches, state.Watch{Event: event, If: r.Cancels[i].If, Expires: r.Cancels[i].Expires})
	}
	return m, nil
}

// singletonKey reads the text of migrate.Run.Singleton.
func singletonKey(fn uuid.UUID, text string) (key state.GateKey, err error) {
	value, ok := strings.CutPrefix(text, fn.String())
	if ok && value != "" {
		value, ok = strings.CutPrefix(value, "-")
	}
	if !ok {
		return key, fmt.Errorf("singleton %q is not of function %s", text, fn)
	}
	return state.NewValueKey(state.OfSingleton, fn, "", value), nil
}
