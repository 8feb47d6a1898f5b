package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
	"jetstep/state"
)

// Registry is what is registered at present.
type Registry interface {
	gates.Functions
	// Active are the functions that starts make runs of.
	Active() []gates.Known
	// Lookup finds an active function by its id in text or its slug.
	Lookup(idOrSlug string) (gates.Known, bool)
	// Triggered are the active functions of which a trigger's name fits the event.
	Triggered(event string) []gates.Known
	// Watch calls changed after each change, until stop is called. changed must be
	// quick.
	Watch(changed func()) (stop func())
}

// World is what the Redis path has to do with besides Redis.
type World interface {
	// Publish accepts events that runs and the server send. It must be safe to
	// repeat.
	Publish(ctx context.Context, events []state.Outgoing) error
	// Accept stores an event under its internal id, as if it had been sent. It must
	// be safe to repeat.
	Accept(ctx context.Context, e *engine.Event) error
	// Decided is told what became of a start.
	Decided(function uuid.UUID, outcome gates.Outcome)
}

// Config says what a Server works with.
type Config struct {
	Redis    redis.UniversalClient
	Registry Registry
	World    World
	Teller   engine.Teller // nil when there is no history
	// Arbiter, if set, counts limits elsewhere, too (--drain-redis).
	Arbiter engine.Arbiter
	// Elsewhere, if set, goes on with what collects events; see HandOver.
	Elsewhere gates.Elsewhere
	Log       *slog.Logger // nil for none
	// Observer is told what is set aside; Away, when Redis stops doing what it is
	// asked, and when it does so again. Both may be empty.
	Observer jobs.Observer
	Away     func(away bool)
}

// Server is one process's part of the work on a Redis. It is a queue.Queue and a
// state.Store. It is safe for concurrent use.
type Server struct {
	*engine.Node
	cfg   Config
	gates *gates.Gates

	changed chan struct{} // the registry
	stop    func()
	working sync.WaitGroup

	mu      sync.Mutex
	unknown map[uuid.UUID]struct{} // functions that were told of
	swept   map[ulid.ULID]struct{} // cancellations that were carried out
	mended  map[uuid.UUID]struct{} // functions whose batches all have a job
	// endpoints are durable endpoints that are not registered.
	endpoints map[uuid.UUID]struct{}
}

// Open begins to hand out what is due in the Redis, and to do what its queue has
// for the server itself.
func Open(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: c, changed: make(chan struct{}, 1),
		unknown: map[uuid.UUID]struct{}{}, swept: map[ulid.ULID]struct{}{}, mended: map[uuid.UUID]struct{}{},
		endpoints: map[uuid.UUID]struct{}{},
	}
	jobs.MendTypes(c.Redis, c.Observer, c.Log)
	s.Node = engine.Open(engine.Config{
		Redis: c.Redis, Functions: functions{s}, World: around{s}, Teller: c.Teller, Arbiter: c.Arbiter,
		Account: function.AccountID, Environment: function.EnvironmentID, Log: c.Log,
		Observer: c.Observer, Away: c.Away,
	})
	s.gates = gates.New(gates.Config{
		Redis: c.Redis, Node: s.Node, Functions: c.Registry, World: around{s}, Elsewhere: c.Elsewhere, Log: c.Log,
	})
	s.follow()
	return s
}

// Close ends the server; what it holds others take over.
func (s *Server) Close() {
	s.stop()
	s.working.Wait()
	s.Node.Close()
}

// around is the world as the engine and the gates see it.
type around struct{ s *Server }

var (
	_ engine.World = around{}
	_ gates.World  = around{}
)

func (a around) Publish(ctx context.Context, events []state.Outgoing) error {
	return a.s.cfg.World.Publish(ctx, events)
}

func (a around) Accept(ctx context.Context, e *engine.Event) error {
	return a.s.cfg.World.Accept(ctx, e)
}

func (a around) Decided(fn uuid.UUID, outcome gates.Outcome) { a.s.cfg.World.Decided(fn, outcome) }

// Ended implements engine.World: the teller says it.
func (a around) Ended(*state.Run, *state.Finish) {}

// Skipped implements gates.World.
func (a around) Skipped(ctx context.Context, skipped *state.RunSkipped) error {
	a.s.Tell(ctx, skipped)
	return nil
}

// pingWithin is how long the Redis has to answer to count as being in reach.
const pingWithin = 2 * time.Second

// Problem says why no work can be done now, nil if it can.
func (s *Server) Problem() error {
	ctx, cancel := context.WithTimeout(context.Background(), pingWithin)
	defer cancel()
	if err := s.cfg.Redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis is not in reach: %w", err)
	}
	if err := s.Trouble(); err != nil { // it answers, and does nothing else
		return fmt.Errorf("redis does not do what it is asked: %w", err)
	}
	return nil
}

// ErrNoFunction is returned for a run of a function that is not registered.
var ErrNoFunction = errors.New("no such function")
