package partition

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/expr"
	"jetstep/function"
	"jetstep/state"
)

// cronCatchUp is how far back missed ticks are made up for after a time
// without an owner. Older ones are passed over.
const cronCatchUp = 10 * time.Minute

// claimTick is how long a tick excludes another run of the function by the same
// tick of another schedule: longer than ticks are made up for and put off.
const claimTick = time.Hour

// cronTable are the schedules of the functions that belong to a partition,
// with their next ticks. mu of the owner guards it.
type cronTable struct {
	catalog   *bus.Catalog
	schedules map[state.CronKey]*schedule
}

type schedule struct {
	function *function.Function
	cron     expr.Schedule
	expr     string
	next     int64 // milliseconds
}

// load takes the schedules over from the registry; their last ticks are in the
// index.
func (c *cronTable) load(o *Owner, now int64) {
	c.refresh(o, now, true)
}

// refresh follows the registry. A schedule that is new while the owner runs
// starts now; one found at loading goes on from its last tick.
func (c *cronTable) refresh(o *Owner, now int64, loading bool) {
	catalog := o.node.bus.Registry().Catalog()
	if catalog == c.catalog {
		return
	}
	c.catalog = catalog
	old := c.schedules
	c.schedules = map[state.CronKey]*schedule{}
	for _, fn := range catalog.Crons() {
		if o.node.partitionOf(fn.ID.String()) != o.id {
			continue
		}
		for _, trigger := range fn.Triggers {
			if trigger.Cron == "" {
				continue
			}
			key := state.CronKey{FunctionID: fn.ID, Expr: trigger.Cron}
			if known, ok := old[key]; ok {
				known.function = fn.Function
				c.schedules[key] = known
				continue
			}
			parsed, err := expr.ParseCron(trigger.Cron)
			if err != nil {
				o.log.Error("cron schedule is unusable", "function_id", fn.Slug, "cron", trigger.Cron, "error", err)
				continue
			}
			s := &schedule{function: fn.Function, cron: parsed, expr: trigger.Cron}
			s.next = o.firstTick(s, key, now, loading)
			c.schedules[key] = s
		}
	}
}

// firstTick is the schedule's first tick to fire, and remembers from when on
// it counts.
func (o *Owner) firstTick(s *schedule, key state.CronKey, now int64, loading bool) int64 {
	last, ok := o.index.Cron(key)
	if !ok || !loading || now-last > cronCatchUp.Milliseconds() {
		last = now
		if ok && loading {
			last = now - cronCatchUp.Milliseconds()
		}
		t := o.begin()
		t.do(&state.CronTicked{FunctionID: key.FunctionID, Expr: key.Expr, At: last})
		t.commit(nil)
	}
	return s.after(last)
}

func (s *schedule) after(ms int64) int64 {
	next := s.cron.Next(time.UnixMilli(ms).UTC())
	if next.IsZero() {
		return 0
	}
	return next.UnixMilli()
}

// fireCrons starts the runs of the schedules that are due, and returns when
// the next one is (0 = none). A process that was suspended makes up for no more
// than one that was not there.
func (o *Owner) fireCrons(now int64) (next int64) {
	o.crons.refresh(o, now, false)
	for key, s := range o.crons.schedules {
		if oldest := now - cronCatchUp.Milliseconds(); s.next > 0 && s.next <= oldest {
			s.next = s.after(oldest)
		}
		for s.next > 0 && s.next <= now {
			t := o.begin()
			t.tick(key, s)
			t.commit(nil)
			s.next = s.after(s.next)
		}
		if s.next > 0 && (next == 0 || s.next < next) {
			next = s.next
		}
	}
	return next
}

// tick starts the run of one scheduled time and publishes its event
// (sdk-protocol §16.5).
func (t *tx) tick(key state.CronKey, s *schedule) {
	at := time.UnixMilli(s.next).UTC()
	fireAt := at.Add(s.jitter(at))
	text := at.Format(time.RFC3339)
	data := fmt.Appendf(nil, `{"cron":%s,"fireAt":"%s","scheduledAt":"%s"}`, jsonString(s.expr), fireAt.Format(time.RFC3339), text)
	event := bus.Event{InternalID: t.o.node.newID(), ID: text, Name: state.EventScheduled, Data: data, TS: fireAt.UnixMilli()}
	t.do(&state.CronTicked{FunctionID: key.FunctionID, Expr: key.Expr, At: s.next})
	// The key is the tick alone, so that two schedules of the function meet in
	// one partition, where the first claims it.
	t.sendStart(s.function, fireAt, text, &state.Start{
		FunctionID:  s.function.ID,
		Idempotency: function.IdempotencyKey(s.function.ID, text),
		Events:      []json.RawMessage{event.AppendJSON(nil, true)},
		EventIDs:    []ulid.ULID{event.InternalID},
		Trigger:     state.EventScheduled,
		Cron:        s.expr,
		NotBefore:   fireAt.UnixMilli(),
		Mark:        t.o.node.bus.LastEvent(),
		ClaimFor:    claimTick.Milliseconds(),
	})
	sent := t.newEvent(state.EventScheduled, data)
	sent.InternalID, sent.ID, sent.TS = event.InternalID, text, event.TS
	t.publish(sent)
}

// jitter is how long after the tick its run starts (flow-control §7.3), by the
// function's present configuration.
func (s *schedule) jitter(tick time.Time) time.Duration {
	trigger, ok := s.function.CronTrigger(s.expr)
	if !ok {
		return 0
	}
	limit, err := trigger.MaxJitter()
	if err != nil {
		return 0 // registration refuses it
	}
	return function.CronJitter(function.CronJob(tick, s.expr, s.function.ID, s.function.Version), limit)
}

func jsonString(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // strings always marshal
	}
	return b
}
