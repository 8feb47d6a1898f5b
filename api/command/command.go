// Package command changes things on behalf of people: it cancels runs, makes
// them again, invokes functions, sends events, and adds, changes and removes
// apps. GraphQL, REST v2 and the tools for AI clients are told to, and tell it.
//
// It guarantees that what it answers is durable: an event is stored, a run is
// recorded by its owner or never will be. It decides nothing about runs itself:
// the engine does. It reads the history of runs, which may lag or be down, only
// where something of the past is repeated; it must never write it.
package command

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/state"
)

// Engine executes runs, wherever in the cluster; see partition.Node.
type Engine interface {
	// Load returns a live run, or fails with state.ErrRunNotFound.
	Load(ctx context.Context, run ulid.ULID) (*state.Run, error)
	// Cancel ends a live run, or fails with state.ErrRunNotFound.
	Cancel(ctx context.Context, run ulid.ULID) error
	// NewRunID names a run that is about to be started; NewRunIDFor one that
	// excludes others with the same key.
	NewRunID(fn uuid.UUID) (ulid.ULID, error)
	NewRunIDFor(fn uuid.UUID, key string) (ulid.ULID, error)
	// StartRun makes a start durable; the run is made soon.
	StartRun(ctx context.Context, start state.Start) error
	// StartNow is told what becomes of the start. It fails with one of the
	// reasons for which no run is made, such as state.ErrRepeated, which comes
	// with the id of the run that there is.
	StartNow(ctx context.Context, start state.Start) (ulid.ULID, error)
}

// Registry has the registered functions.
type Registry interface {
	Catalog() *bus.Catalog
	SetPaused(ctx context.Context, fn uuid.UUID, paused bool) error
}

// Reader is the history as it is written, with nothing that is only known live:
// a run that has ended in it is there with all its steps. Look-ups of one record
// fail with view.ErrNotFound.
type Reader interface {
	Run(ctx context.Context, id ulid.ULID) (view.Run, error)
	Runs(ctx context.Context, query view.RunQuery) ([]view.Run, error)
	Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error)
	EventsByID(ctx context.Context, ids []ulid.ULID) ([]view.Event, error)
}

// Config is what Commands need.
type Config struct {
	Engine   Engine
	Registry Registry
	Reader   Reader
	Events   Events
	Apps     Apps
	Log      *slog.Logger     // nil for none
	Now      func() time.Time // nil for time.Now
}

// Commands carry out what people ask for.
type Commands struct {
	Config
}

// New makes Commands.
func New(config Config) *Commands {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Commands{Config: config}
}

// What commands fail with, besides view.ErrNotFound for a run or event that is
// not known.
var (
	// ErrEnded is returned for a run that has ended, and cannot again.
	ErrEnded = errors.New("the run has ended")
	// ErrNoFunction is returned for a function that is not registered (any
	// more).
	ErrNoFunction = errors.New("function not found")
	// ErrNoInput is returned for a run whose event is not kept any more.
	ErrNoInput = errors.New("the events of the run are not kept any more")
	// ErrNoSuchStep and ErrAmbiguousStep are returned for a step to start from
	// that the run did not have, or that could be several.
	ErrNoSuchStep    = errors.New("the run has no such step")
	ErrAmbiguousStep = errors.New("several steps of the run have that name")
)

// Cancel ends a run for good. It fails with ErrEnded for one that has, and with
// view.ErrNotFound.
func (c *Commands) Cancel(ctx context.Context, run ulid.ULID) error {
	err := c.Engine.Cancel(ctx, run)
	if !errors.Is(err, state.ErrRunNotFound) {
		return err
	}
	if _, err := c.ended(ctx, run); err != nil {
		return err
	}
	return ErrEnded
}

// SetPaused pauses a function, or lets it go on. It fails with ErrNoFunction.
func (c *Commands) SetPaused(ctx context.Context, fn uuid.UUID, paused bool) error {
	if _, ok := c.Registry.Catalog().Function(fn); !ok {
		return ErrNoFunction
	}
	return c.Registry.SetPaused(ctx, fn, paused)
}
