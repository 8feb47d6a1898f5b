package logdata

import (
	stdjson "encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/migrate"
	"jetstep/expr"
	"jetstep/function"
	"jetstep/state"
)

type json = stdjson.RawMessage

// owner is what the first half of a key is for.
type owner struct {
	function uuid.UUID
	kind     string // of a value key; ofClaim, ofEvent
	expr     string
}

const (
	ofClaim = "claim"
	ofEvent = "batched event"
)

// half is the first half of a key, which says what the key is for.
type half [8]byte

func halfOf(key [16]byte) (h half) {
	copy(h[:], key[:])
	return h
}

// reading turns what partitions hold into the neutral form, by the functions that
// are registered.
type reading struct {
	catalog Catalog
	owners  map[half]owner
}

func newReading(c Catalog) *reading {
	r := &reading{catalog: c, owners: map[half]owner{}}
	for app := range c.All() {
		for _, list := range [...][]function.Function{app.Functions, app.Archived} {
			for i := range list {
				r.know(&list[i])
			}
		}
	}
	return r
}

func (r *reading) know(fn *function.Function) {
	if key, ok := state.ClaimKey(function.IdempotencyKey(fn.ID, "")); ok {
		r.owners[halfOf(key)] = owner{fn.ID, ofClaim, ""}
	}
	r.owners[halfOf(state.CollectedKey(fn.ID, ulid.ULID{}))] = owner{fn.ID, ofEvent, ""}
	if fn.RateLimit != nil {
		r.value(fn.ID, state.OfRateLimit, function.ExpressionHash(fn.RateLimit.Key))
	}
	if fn.Throttle != nil {
		r.value(fn.ID, state.OfThrottle, function.ExpressionHash(fn.Throttle.Key))
	}
}

func (r *reading) value(fn uuid.UUID, kind, expr string) {
	r.owners[halfOf(state.NewValueKey(kind, fn, expr, ""))] = owner{fn, kind, expr}
}

// expecting is the reading of an item that was asked for, as m: what it is is known,
// also when its function is not.
func expecting(c Catalog, id migrate.ID, m *state.Moved) *reading {
	r := &reading{catalog: c, owners: map[half]owner{}}
	switch op := m.Fact.(type) {
	case *state.KeyClaimed:
		kind := ofClaim
		if id.Kind == migrate.KindBatched {
			kind = ofEvent
		}
		r.owners[halfOf(op.Key)] = owner{m.Function, kind, ""}
	case *state.RateCharged:
		if rate, ok := migrate.RateOf(id.Key); ok {
			r.owners[halfOf(op.Key)] = owner{rate.FunctionID, rateKind(&rate), rate.Expr}
		}
	}
	return r
}

// item is a thing in the neutral form; ok is false for a claim or charge of which
// nobody knows what it is for.
func (r *reading) item(m *state.Moved) (item migrate.Item, ok bool) {
	switch op := m.Fact.(type) {
	case *state.RunPut:
		return r.run(&op.Run, m.Watches), true
	case *state.KeyClaimed:
		return r.claim(op)
	case *state.RateCharged:
		of, known := r.owners[halfOf(op.Key)]
		value, fits := op.Key.Value(of.kind, of.function, of.expr)
		if !known || !fits {
			return item, false
		}
		return (&migrate.Rate{
			Throttle: of.kind == state.OfThrottle, FunctionID: of.function, Expr: of.expr, Value: value, TAT: op.TAT, Until: op.Expires,
		}).Item(), true
	case *state.CronTicked:
		return r.cron(op)
	case *state.DebouncePut:
		return r.debounce(&op.Debounce), true
	case *state.BatchPut:
		return r.batch(&op.Batch, m.Apart), true
	}
	return item, false
}

func (r *reading) claim(op *state.KeyClaimed) (item migrate.Item, ok bool) {
	of, known := r.owners[halfOf(op.Key)]
	switch {
	case known && of.kind == ofClaim:
		return (&migrate.Claim{Key: state.Idempotency(op.Key), RunID: op.RunID, Until: op.Expires}).Item(), true
	case known && of.kind == ofEvent:
		return (&migrate.Batched{FunctionID: of.function, EventID: op.RunID, Until: op.Expires}).Item(), true
	}
	return item, false
}

// cron is a schedule, unless it never fires again.
func (r *reading) cron(op *state.CronTicked) (item migrate.Item, ok bool) {
	schedule, err := expr.ParseCron(op.Expr)
	if err != nil {
		return (&migrate.Bad{Key: "schedule of function " + op.FunctionID.String(), Member: op.Expr, Reason: err.Error()}).Item(), true
	}
	next := schedule.Next(time.UnixMilli(op.At).UTC())
	if next.IsZero() {
		return item, false
	}
	c := &migrate.Cron{FunctionID: op.FunctionID, Expr: op.Expr, Next: next.UnixMilli()}
	if fn, app, ok := r.catalog.Executable(op.FunctionID); ok {
		c.Version, c.AppID = fn.Version, app
	}
	return c.Item(), true
}

func (r *reading) debounce(d *state.Debounce) migrate.Item {
	m := &migrate.Debounce{
		ID: d.ID, FunctionID: d.Start.FunctionID, Event: d.Start.Events[0], EventID: d.Start.EventIDs[0], Due: d.Due, Latest: d.Until,
	}
	if fn, app, ok := r.catalog.Executable(m.FunctionID); ok {
		m.Version, m.AppID = fn.Version, app
		if fn.Debounce != nil {
			if text, err := keyText(fn.Debounce.Key, m.Event); err == nil {
				m.Text = &text
			}
		}
	}
	return m.Item()
}

func (r *reading) batch(b *state.Batch, apart bool) migrate.Item {
	m := &migrate.Batch{
		ID: b.ID, FunctionID: b.Start.FunctionID, Collects: !apart, Events: b.Start.Events, EventIDs: b.Start.EventIDs, Due: b.Due,
	}
	if fn, app, ok := r.catalog.Executable(m.FunctionID); ok {
		m.Version, m.AppID = fn.Version, app
		if fn.EventBatch != nil && fn.EventBatch.Key != "" {
			if text, err := keyText(fn.EventBatch.Key, m.Events[0]); err == nil {
				m.KeyHash = function.BatchKeyHash(text)
			}
		}
	}
	return m.Item()
}

// keyText is the text of a key expression's value for an event, "" without one.
func keyText(expression string, event json) (string, error) {
	if expression == "" {
		return "", nil
	}
	var fields map[string]any
	if err := stdjson.Unmarshal(event, &fields); err != nil {
		return "", err
	}
	result, err := expr.Eval(expression, map[string]any{"event": fields})
	if err != nil {
		return "", err
	}
	return result.Text(), nil
}

// named is what partitions find an item by.
func named(id migrate.ID) (m state.Moved, ok bool) {
	first, rest, _ := strings.Cut(id.Key, " ")
	fn, fnErr := uuid.Parse(first)
	switch id.Kind {
	case migrate.KindRun:
		run, err := ulid.ParseStrict(id.Key)
		return state.Moved{Fact: &state.RunPut{Run: state.Run{ID: run}}}, err == nil
	case migrate.KindClaim:
		key, ok := state.ClaimKey(id.Key)
		return state.Moved{Fact: &state.KeyClaimed{Key: key}}, ok
	case migrate.KindBatch, migrate.KindBatched:
		other, err := ulid.ParseStrict(rest)
		m.Function = fn
		if id.Kind == migrate.KindBatched {
			m.Fact = &state.KeyClaimed{Key: state.CollectedKey(fn, other)}
		} else {
			m.Fact = &state.BatchPut{Batch: state.Batch{ID: other, Start: state.Start{FunctionID: fn}}}
		}
		return m, err == nil && fnErr == nil
	case migrate.KindDebounce:
		debounce, err := ulid.ParseStrict(id.Key)
		return state.Moved{Fact: &state.DebouncePut{Debounce: state.Debounce{ID: debounce}}}, err == nil
	case migrate.KindRate:
		rate, ok := migrate.RateOf(id.Key)
		return state.Moved{Fact: &state.RateCharged{Key: rateKey(&rate)}, Function: rate.FunctionID}, ok
	case migrate.KindCron:
		return state.Moved{Fact: &state.CronTicked{FunctionID: fn, Expr: rest}, Function: fn}, fnErr == nil
	}
	return m, false
}
