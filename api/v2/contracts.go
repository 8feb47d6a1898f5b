package v2

import (
	"context"
	"encoding/json"

	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
	"jetstep/history/trace"
	"jetstep/history/view"
)

// Reader is the read model. Look-ups of one record fail with view.ErrNotFound;
// lists are empty instead.
type Reader interface {
	// Apps and Functions list what is registered, archived ones too.
	Apps(ctx context.Context) ([]view.App, error)
	Functions(ctx context.Context) ([]view.Function, error)
	// Run reads a run from trace_runs.
	Run(ctx context.Context, id ulid.ULID) (view.Run, error)
	Runs(ctx context.Context, query view.RunQuery) ([]view.Run, error)
	// RunsOfEvents finds the runs that each event is a trigger of, in the
	// order of their ids.
	RunsOfEvents(ctx context.Context, events []ulid.ULID) (map[ulid.ULID][]view.Run, error)
	// Spans reads the rows of a run's trace, in any order.
	Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error)
}

// Commands change something; see command.Commands. A run or event that is not
// known is a view.ErrNotFound.
type Commands interface {
	// Cancel fails with command.ErrEnded.
	Cancel(ctx context.Context, run ulid.ULID) error
	// Rerun starts a new run. It fails with command.ErrNoSuchStep,
	// ErrAmbiguousStep, ErrNoFunction and ErrNoInput.
	Rerun(ctx context.Context, rerun command.Rerun) (ulid.ULID, error)
	Replay(ctx context.Context, replay command.Replay) (command.Replayed, error)
	// Begin starts a run of a function. It fails with what command.Begin says.
	Begin(ctx context.Context, begin command.Begin) (ulid.ULID, error)
	// Send stores an event, an object. It fails with ingest.ErrRefused.
	Send(ctx context.Context, event json.RawMessage) (ulid.ULID, error)
	// Resend fails with command.ErrInternalEvent.
	Resend(ctx context.Context, event ulid.ULID) (ulid.ULID, error)
}
