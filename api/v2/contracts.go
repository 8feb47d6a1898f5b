package v2

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/oklog/ulid/v2"

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

// Commands change runs.
type Commands interface {
	Cancel(ctx context.Context, run ulid.ULID) error
	// Rerun starts a new run. It fails with ErrNoSuchStep or ErrAmbiguousStep.
	Rerun(ctx context.Context, rerun Rerun) (ulid.ULID, error)
}

// What Rerun fails with.
var (
	ErrNoSuchStep    = errors.New("step not found in original run")
	ErrAmbiguousStep = errors.New("step name matches multiple steps in original run")
)

// Rerun asks for a run to be made again.
type Rerun struct {
	Run   ulid.ULID
	Step  string          // its name, empty to start anew
	Input json.RawMessage // new arguments of that step, a list, or nil
}
