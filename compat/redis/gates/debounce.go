package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

const (
	// systemAttempts is how often a job of the system may be tried (redis-queue §6.3).
	systemAttempts = 21
	// afterPointer is how long after its pointer a debounce ends, in milliseconds
	// (redis-queue §16).
	afterPointer = 1050
	// debounceTries bounds how often others may be faster.
	debounceTries = 100
	// invalidKey is what a debounce's key is when its expression fails.
	invalidKey = "<invalid>"
)

// debounceKey is the value that events have to share, as names of keys have it.
func (g *Gates) debounceKey(s *starting) string {
	if s.Debounce.Key == "" {
		return s.ID.String()
	}
	text, _, err := s.in.KeyText(s.Debounce.Key)
	g.complain(s.Function, s.Debounce.Key, err)
	if err != nil {
		return invalidKey
	}
	return text
}

// debounce makes the start wait until the events of its key pause (flow-control
// §11). One that waits already gives way, unless its event is later by its own
// time.
func (g *Gates) debounce(ctx context.Context, s *starting) error {
	period, err := s.Debounce.Wait()
	g.complain(s.Function, s.Debounce.Period, err) // registration refuses it
	key := g.debounceKey(s)
	event := &format.Debounced{
		AccountID: g.Node.Account, EnvironmentID: g.Node.Environment, AppID: s.App, FunctionID: s.ID, FunctionVersion: s.Version,
		EventID: s.EventIDs[0], Event: stored(s.Events[0]),
	}
	for range debounceTries {
		displaced, done, err := g.addToDebounce(ctx, s, key, event, period)
		if err != nil {
			return err
		}
		if done {
			return g.refuse(ctx, []string{displaced.correlation()}, state.InvokeDebounced)
		}
	}
	return fmt.Errorf("debounce: others changed it %d times", debounceTries)
}

// addToDebounce adds an event to the debounce as it is read. It tells which event
// gave way; done is false when somebody else was faster.
func (g *Gates) addToDebounce(ctx context.Context, s *starting, key string, event *format.Debounced, period time.Duration) (
	displaced aboutEvent, done bool, err error) {
	now := time.Now()
	was, err := g.jobs.Debounce(ctx, s.ID, key)
	if err != nil {
		return displaced, false, err
	}
	plan := nextDebounce(was, now, s.in.TS(), period, s.Debounce.Limit())
	put := *event
	switch {
	case plan.refused:
		return readEvent(event.Event), true, nil
	case plan.keeps:
		put, displaced = *was.Kept, readEvent(event.Event)
	case was.Kept != nil && was.Kept.EventID != event.EventID && !plan.startsFormer:
		displaced = readEvent(was.Kept.Event)
	}
	put.Latest = plan.latest
	done, err = g.jobs.PutDebounce(ctx, was, &jobs.Debouncing{
		ID: plan.id, Event: &put, Seconds: plan.seconds, Job: g.debounceJob(s, plan.id, plan.at),
	}, now)
	return displaced, done, err
}

// debouncePlan is what an event makes of a debounce.
type debouncePlan struct {
	id           ulid.ULID
	startsFormer bool  // the one that there was is starting its run: this is another
	latest       int64 // milliseconds; 0 for no bound
	seconds      int64 // for which events are waited for
	at           int64 // when it ends, in milliseconds
	refused      bool  // by its own time the event comes before the one that waits
	keeps        bool  // as refused, but of that debounce only the event is left
}

// nextDebounce is what an event with that "ts" makes of a debounce at a moment.
// One whose job is being done, or is lost, is followed by another; the former
// starts its run (redis-queue §16).
func nextDebounce(was *jobs.Debounce, now time.Time, ts int64, period, limit time.Duration) debouncePlan {
	ms := now.UnixMilli()
	plan := debouncePlan{id: was.ID, seconds: max(int64(period/time.Second), 1)}
	earlier := was.Kept != nil && readEvent(was.Kept.Event).TS > ts
	switch {
	case was.Job == nil, format.Leased(was.Job.Item.LeaseID, ms):
		plan.id, plan.startsFormer = ulid.Make(), was.Job != nil
		plan.keeps = earlier && was.Job == nil
		if limit > 0 {
			plan.latest = ms + limit.Milliseconds()
			plan.seconds = max(min(plan.seconds, int64(limit.Round(time.Second)/time.Second)), 1)
		}
	case earlier:
		plan.refused = true
	case was.Kept != nil && was.Kept.Latest > 0:
		plan.latest = was.Kept.Latest
		if ms+plan.seconds*1000 > plan.latest {
			plan.seconds = max((plan.latest-ms)/1000, 1)
		}
	}
	plan.at = ms + plan.seconds*1000 + afterPointer
	if plan.latest > 0 {
		plan.at = min(plan.at, plan.latest+afterPointer) // however fast events come
	}
	return plan
}

// debounceJob is the job that ends a debounce. It counts as the function's.
func (g *Gates) debounceJob(s *starting, id ulid.ULID, at int64) *format.Item {
	payload, _ := format.Raw(format.DebouncePayload{ // has no raw JSON, which alone could fail
		DebounceID: id, AccountID: g.Node.Account, EnvironmentID: g.Node.Environment, AppID: s.App, FunctionID: s.ID, FunctionVersion: s.Version,
	})
	item := g.item(format.KindDebounce, "", s.ID, s.App, payload)
	item.ID, item.At, item.Data.GroupID = function.DebounceJob(id.String()), at, ""
	return item
}

// EndDebounce starts the run of a debounce by its last event.
func (g *Gates) EndDebounce(ctx context.Context, p *format.DebouncePayload) error {
	return g.endDebounce(ctx, p, time.Now().UnixMilli())
}

// endDebounce is EndDebounce for one that is due then, in milliseconds: whoever goes on
// with it waits until then.
func (g *Gates) endDebounce(ctx context.Context, p *format.DebouncePayload, due int64) error {
	debounced, err := g.jobs.Debounced(ctx, p.DebounceID)
	if err != nil {
		var damaged *format.ValueError
		if errors.As(err, &damaged) {
			return errors.Join(err, errUnfit)
		}
		return err
	}
	if debounced == nil {
		return nil
	}
	moving, err := g.Redis.HExists(ctx, format.DebounceMoving, p.DebounceID.String()).Result()
	if err != nil || moving {
		return err
	}
	event, err := jcs.Canonicalize(debounced.Event)
	if err != nil {
		return errors.Join(fmt.Errorf("event of debounce %s: %w", p.DebounceID, err), errUnfit)
	}
	about := readEvent(event)
	s := about.start(p.FunctionID, event, debounced.EventID, debounced.EventID.String())
	kept := &state.DebouncePut{Debounce: state.Debounce{ID: p.DebounceID, Due: due, Until: debounced.Latest, Start: *s}}
	err = g.passKept(ctx, s, kept, func(s *starting) (Result, error) {
		s.debounced = true
		return g.create(ctx, s)
	})
	if err != nil {
		return err
	}
	key := p.FunctionID.String()
	if known, ok := g.Functions.Known(p.FunctionID); ok && known.Debounce != nil {
		key = g.debounceKey(&starting{Start: s, Known: known, in: function.Inputs{Event: event}})
	}
	return g.jobs.EndDebounce(ctx, p.FunctionID, key, p.DebounceID)
}

// stored is an event as it is kept: without an empty "user".
func stored(event json.RawMessage) json.RawMessage {
	return (&state.Run{Events: []json.RawMessage{event}}).StoredEvents()[0]
}
