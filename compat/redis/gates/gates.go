package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// Functions tells about functions as they are at present.
type Functions interface {
	// Known finds a function, also one that its app no longer has.
	Known(id uuid.UUID) (Known, bool)
	// Crons are the functions that have schedules.
	Crons() []Known
}

// Known is a function and what was decided about it.
type Known struct {
	*function.Function
	App           uuid.UUID
	Removed       bool // its app no longer has it
	Paused        bool
	Cancellations []function.Cancellation
}

// World is what starts have to do with besides Redis.
type World interface {
	// Publish accepts events that the server sends. It must be safe to repeat.
	Publish(ctx context.Context, events []state.Outgoing) error
	// Accept stores an event under its internal id, as if it had been sent. It must
	// be safe to repeat.
	Accept(ctx context.Context, e *engine.Event) error
	// Skipped is told of a start that made no run; it may be told twice.
	Skipped(ctx context.Context, skipped *state.RunSkipped) error
	// Decided is told what became of a start.
	Decided(function uuid.UUID, outcome Outcome)
}

// Config says what the gates work with.
type Config struct {
	Redis     redis.UniversalClient
	Node      *engine.Node
	Functions Functions
	World     World
	Elsewhere Elsewhere // nil when all that collects events is in Redis
	Log       *slog.Logger
}

// Gates take starts through the gates of their functions. They are safe for
// concurrent use.
type Gates struct {
	Config
	jobs *jobs.Queue
	runs *runs.Store

	mu         sync.Mutex
	complaints map[string]struct{}
}

// New are gates for the starts of a node, whose jobs of the system they do from
// then on.
func New(c Config) *Gates {
	g := &Gates{Config: c, jobs: jobs.NewQueue(c.Redis), runs: runs.NewStore(c.Redis), complaints: map[string]struct{}{}}
	c.Node.Attend(g)
	return g
}

// Outcome is what became of a start (flow-control §8).
type Outcome string

// The outcomes, as metrics have them.
const (
	Success     Outcome = "success"
	RateLimited Outcome = "rate_limited"
	Debounced   Outcome = "debounced"
	Skipped     Outcome = "skipped"
	Idempotency Outcome = "idempotency" // its key has a run already
	Batched     Outcome = "batched"
	Unknown     Outcome = "error" // there is no such function
)

// Result is what became of a start: with Success the run that was made, with
// Idempotency that which there is, or was.
type Result struct {
	Outcome Outcome
	Run     ulid.ULID
}

// ErrNoFunction is a start of a function that is not registered.
var ErrNoFunction = errors.New("no such function")

// Refusal is why somebody who waits for a run gets none of his own, nil if he
// does.
func (r Result) Refusal() error {
	switch r.Outcome {
	case Idempotency:
		return state.ErrRepeated
	case RateLimited:
		return state.ErrRateLimited
	case Debounced:
		return state.ErrDebounced
	case Batched:
		return state.ErrBatched
	case Skipped:
		return state.ErrSkipped
	case Unknown:
		return ErrNoFunction
	}
	return nil
}

// aboutEvent is what the gates read of an event.
type aboutEvent struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	TS   int64  `json:"ts"`
	Data struct {
		Inngest struct {
			Correlation string `json:"correlation_id"`
		} `json:"_inngest"`
	} `json:"data"`
}

// readEvent reads what can be read: data may be anything.
func readEvent(event json.RawMessage) aboutEvent {
	var about aboutEvent
	_ = json.Unmarshal(event, &about)
	return about
}

// correlation is the invoke that the event asks for, "" for none.
func (a *aboutEvent) correlation() string {
	if a.Name != state.EventInvoked {
		return ""
	}
	return a.Data.Inngest.Correlation
}

// Event takes a function that an event triggers, or invokes, through its gates.
func (g *Gates) Event(ctx context.Context, fn uuid.UUID, e *engine.Event) (Result, error) {
	about := readEvent(e.JSON)
	return g.Start(ctx, about.start(fn, e.JSON, e.ID, about.ID))
}

// start is the start of a function by the event, which makes one run with others
// of that source.
func (a *aboutEvent) start(fn uuid.UUID, event json.RawMessage, id ulid.ULID, source string) *state.Start {
	s := &state.Start{
		FunctionID: fn, Events: []json.RawMessage{event}, EventIDs: []ulid.ULID{id}, Trigger: a.Name,
		Idempotency: function.IdempotencyKey(fn, source),
	}
	if correlation := a.correlation(); correlation != "" {
		s.Correlations = []string{correlation}
	}
	if a.TS > time.Now().UnixMilli() {
		s.NotBefore = a.TS
	}
	return s
}

// starting is a start on its way through the gates of its function.
type starting struct {
	*state.Start
	Known
	in        function.Inputs // of the first event
	debounced bool
}

// Start takes a start through the gates of its function: all of them, or, when it
// makes another run again (Start.Original), those that limit runs. What of a Start
// counts on the native path only is passed over. After an error it is to be asked
// again.
func (g *Gates) Start(ctx context.Context, s *state.Start) (Result, error) {
	return g.pass(ctx, s, func(s *starting) (Result, error) { return g.enter(ctx, s) })
}

// passKept is pass for a start that comes out of Redis: it waits there until its
// function is registered. Elsewhere it goes on as what is kept.
func (g *Gates) passKept(ctx context.Context, s *state.Start, kept state.Op, through func(*starting) (Result, error)) error {
	known, ok := g.Functions.Known(s.FunctionID)
	if !ok {
		return fmt.Errorf("function %s is not registered: %w", s.FunctionID, engine.ErrLater)
	}
	handed, err := g.handOver(ctx, &known, s, kept)
	if err != nil || handed {
		return err
	}
	_, err = g.pass(ctx, s, through)
	return err
}

func (g *Gates) pass(ctx context.Context, s *state.Start, through func(*starting) (Result, error)) (Result, error) {
	known, ok := g.Functions.Known(s.FunctionID)
	var result Result
	var err error
	switch {
	case !ok:
		g.Log.Warn("function was removed before its run started", "function_id", s.FunctionID, "event_ids", s.EventIDs)
		result.Outcome = Unknown
		err = g.refuse(ctx, s.Correlations, state.InvokeUnknown(s.FunctionID.String()))
	case known.Removed:
		result.Outcome = Skipped
		err = g.skip(ctx, &starting{Start: s, Known: known}, state.SkipDrained, ulid.ULID{})
	default:
		result, err = through(&starting{Start: s, Known: known, in: function.Inputs{Event: s.Events[0]}})
	}
	if err != nil {
		return Result{}, fmt.Errorf("start function %s: %w", s.FunctionID, err)
	}
	g.World.Decided(s.FunctionID, result.Outcome)
	return result, nil
}

// enter is the way of a start that an event, an invoke or a schedule asked for,
// or a person who wants a run made again.
func (g *Gates) enter(ctx context.Context, s *starting) (Result, error) {
	if !s.Original.IsZero() {
		return g.create(ctx, s)
	}
	if g.batches(s) {
		return Result{Outcome: Batched}, g.collect(ctx, s)
	}
	if s.RateLimit != nil || s.Singleton != nil {
		// What has passed these gates already is not to be stopped by itself.
		claim, taken, err := g.runs.Claimed(ctx, g.Node.Account, s.Idempotency)
		switch {
		case err != nil:
			return Result{}, err
		case taken && claim.Ended:
			return Result{Outcome: Idempotency, Run: claim.RunID}, nil
		case taken:
			return g.make(ctx, s, s.singletonKey(g))
		}
	}
	limited, err := g.limited(ctx, s)
	switch {
	case err != nil:
		return Result{}, err
	case limited:
		return Result{Outcome: RateLimited}, nil
	case s.Debounce != nil:
		return Result{Outcome: Debounced}, g.debounce(ctx, s)
	}
	return g.create(ctx, s)
}

// complain tells that an expression failed: once for each registration, since it
// will fail again with the next event.
func (g *Gates) complain(fn *function.Function, expression string, err error) {
	if err == nil {
		return
	}
	about := fmt.Sprint(fn.ID, fn.Version, expression)
	g.mu.Lock()
	_, told := g.complaints[about]
	g.complaints[about] = struct{}{}
	g.mu.Unlock()
	if !told {
		g.Log.Warn("flow control expression failed: the event counts as one without a value",
			"function_id", fn.Slug, "expression", expression, "error", err)
	}
}

// refuse ends the invokes that asked for a start which makes no run.
func (g *Gates) refuse(ctx context.Context, correlations []string, text string) error {
	for _, correlation := range correlations {
		if correlation == "" {
			continue
		}
		if err := g.Node.FailInvoke(ctx, correlation, text); err != nil {
			return err
		}
	}
	return nil
}

// refuseAloud ends the invokes as a run's end would: with an event.
func (g *Gates) refuseAloud(ctx context.Context, correlations []string, text string) error {
	for _, correlation := range correlations {
		err := g.World.Publish(ctx, []state.Outgoing{{
			Name: state.EventFinished, Data: state.UnknownFunctionFinished(correlation, text), Correlation: correlation,
		}})
		if err != nil {
			return err
		}
	}
	return g.refuse(ctx, correlations, text)
}
