package graph

import (
	"context"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
	"jetstep/history/trace"
	"jetstep/history/view"
)

// Reader is the read model. Look-ups of one record fail with view.ErrNotFound;
// lists are empty instead.
type Reader interface {
	Catalog
	Events
	Runs
	Workers
}

// Catalog has what is registered.
type Catalog interface {
	// Apps lists all apps, archived ones too.
	Apps(ctx context.Context) ([]view.App, error)
	// Functions lists all functions of all apps, archived ones too.
	Functions(ctx context.Context) ([]view.Function, error)
}

// Events has what was received.
type Events interface {
	Event(ctx context.Context, id ulid.ULID) (view.Event, error)
	Events(ctx context.Context, filter view.EventFilter) ([]view.Event, error)
	// CountEvents ignores the filter's Before, After and Limit.
	CountEvents(ctx context.Context, filter view.EventFilter) (int, error)
	// EventsByID finds events by internal id, in ascending order of it; those
	// that are not there are left out.
	EventsByID(ctx context.Context, ids []ulid.ULID) ([]view.Event, error)
}

// Runs has what functions did.
type Runs interface {
	// Run reads a run from trace_runs, skipped or not.
	Run(ctx context.Context, id ulid.ULID) (view.Run, error)
	Runs(ctx context.Context, query view.RunQuery) ([]view.Run, error)
	CountRuns(ctx context.Context, filter view.RunFilter) (int, error)
	// RunsOfEvents finds the runs that each of the events is a trigger of,
	// skipped ones too, as Run reads them and in the order of their ids.
	RunsOfEvents(ctx context.Context, events []ulid.ULID) (map[ulid.ULID][]view.Run, error)
	// Spans reads the rows of a run's trace, in any order.
	Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error)
	// DebugSpans reads the rows of runs of a function with a debug run or, if
	// that is empty, a debug session.
	DebugSpans(ctx context.Context, debugRun, debugSession string) ([]trace.Row, error)
	// History reads the older history of a run, oldest first.
	History(ctx context.Context, run ulid.ULID) ([]view.HistoryItem, error)
}

// Workers has the connections of workers.
type Workers interface {
	Worker(ctx context.Context, id ulid.ULID) (view.Worker, error)
	Workers(ctx context.Context, query view.WorkerQuery) ([]view.Worker, error)
	// CountWorkers ignores the query's After and Limit.
	CountWorkers(ctx context.Context, query view.WorkerQuery) (int, error)
}

// Commands change something. The texts of their errors are shown to users.
type Commands interface {
	// CreateApp registers the app that answers at a URL and returns its id.
	CreateApp(ctx context.Context, url string) (uuid.UUID, error)
	UpdateApp(ctx context.Context, app uuid.UUID, url string) error
	// DeleteApp archives an app.
	DeleteApp(ctx context.Context, app uuid.UUID) error
	Invoke(ctx context.Context, call command.Invocation) error
	// Cancel asks for a run to end; it may return before it has. It fails with
	// command.ErrEnded and view.ErrNotFound.
	Cancel(ctx context.Context, run ulid.ULID) error
	// Rerun starts a new run and returns its id. It fails with
	// command.ErrNoSuchStep and command.ErrAmbiguousStep.
	Rerun(ctx context.Context, rerun command.Rerun) (ulid.ULID, error)
	// Discovered tells whether a URL was found by looking for apps.
	Discovered(url string) bool
}
