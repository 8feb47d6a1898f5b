package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/appsync"
	"jetstep/api/ingest"
	"jetstep/bus"
	"jetstep/function"
)

// What the contracts below fail with. Errors wrap one of them where callers
// are told more than that something went wrong.
var (
	ErrRunNotFound = errors.New("run not found") // never was, or its state is gone
	ErrRunEnded    = errors.New("run has ended")
	ErrNoSignal    = errors.New("no run waits for the signal")

	// Of Runs.Checkpoint; the SDK is sent the text of the whole error.
	ErrRefusedStep   = errors.New("step cannot be checkpointed")
	ErrStepTooLarge  = errors.New("step output too large")
	ErrStateTooLarge = errors.New("run state size limit exceeded")
	ErrStaleDispatch = errors.New("stale dispatch") // of a call that is no longer the current one
)

// Events takes events in; see ingest.Ingester.
type Events interface {
	AcceptFrom(ctx context.Context, body io.Reader, size int64, req ingest.Request) ingest.Answer
	Invoke(ctx context.Context, slug string, body []byte, seed string) (ulid.ULID, error)
}

// Apps syncs apps; see appsync.Syncer.
type Apps interface {
	Register(ctx context.Context, header http.Header, body []byte) (appsync.Response, error)
	Remove(ctx context.Context, url string) error
}

// Catalog shows what is registered.
type Catalog interface {
	Catalog() *bus.Catalog
}

// Controls changes what people decide about functions; see bus.Registry. The
// catalog shows a change when the call returns.
type Controls interface {
	SetPaused(ctx context.Context, fn uuid.UUID, paused bool) error
	AddCancellation(ctx context.Context, added function.Cancellation) error
	// RemoveCancellation fails with bus.ErrNoCancellation.
	RemoveCancellation(ctx context.Context, id ulid.ULID) error
}

// Projection is how far the history is behind what happened. Runs are executed
// however far that is.
type Projection struct {
	// Available tells that the history can be read and written.
	Available bool
	Behind    uint64        // messages that it does not have yet
	Age       time.Duration // of the oldest of them
}

// Runs is the live state of runs, wherever in the cluster they are.
type Runs interface {
	// Cancel ends a run for good. It fails with ErrRunNotFound or ErrRunEnded.
	Cancel(ctx context.Context, run ulid.ULID) error
	// Events are the run's input in stored form, without an empty "user". It
	// fails with ErrRunNotFound.
	Events(ctx context.Context, run ulid.ULID) ([]json.RawMessage, error)
	// Steps are the memos by hashed step id. It fails with ErrRunNotFound.
	Steps(ctx context.Context, run ulid.ULID) (map[string]json.RawMessage, error)
	// Jobs are the queued jobs of a run; none for a run that has none or is
	// not known.
	Jobs(ctx context.Context, run ulid.ULID) ([]Job, error)
	// Loading tells that the state of the run is being read, so that a run that
	// is not known may be known soon.
	Loading(run ulid.ULID) bool
	// WaitingFor names the limit that a due job of the run waits for (flow
	// control); not ok when it waits for none, or nobody answers who knows.
	WaitingFor(ctx context.Context, run ulid.ULID) (limit string, ok bool)
	// Checkpoint records the steps that an SDK reports while it is being
	// called. It fails with ErrRunNotFound, ErrRefusedStep, ErrStepTooLarge,
	// ErrStateTooLarge or ErrStaleDispatch.
	Checkpoint(ctx context.Context, req CheckpointRequest) error
}

// Job is a queued job as the API shows it; the names are http-api §10's.
type Job struct {
	ID       string          `json:"JobID"` // hashed
	At       time.Time       `json:"at"`
	Position int             `json:"position"`
	Kind     string          `json:"kind"`
	Attempt  int             `json:"attempt"`
	Raw      json.RawMessage `json:"Raw"` // the engine's own form; may be nil
	// WaitingFor is an addition: the limit that holds the job up.
	WaitingFor string `json:"waiting_for,omitempty"`
}

// CheckpointRequest is the body of POST /v1/checkpoint/{run}/async
// (sdk-protocol §18.1).
type CheckpointRequest struct {
	RunID       ulid.ULID
	FunctionID  uuid.UUID // zero if not given
	QueueItemID string    // ctx.qi_id of the call, may be empty
	RequestID   string
	Generation  int
	Steps       []json.RawMessage // opcodes, not decoded; never empty
	// RequestStartedAt is when the call began, in ms since 1970; 0 if not given.
	RequestStartedAt int64
}

// Signals resumes runs that wait for a signal.
type Signals interface {
	// Send resumes the run that waits for the signal with that name, which is
	// not empty. data is JSON, nil when there was none. It fails with
	// ErrNoSignal.
	Send(ctx context.Context, name string, data json.RawMessage) (run ulid.ULID, err error)
}

// Limits overrides what a run of one function may have, until the process
// ends. The Clear functions tell whether there was something to clear.
type Limits interface {
	SetStepLimit(function uuid.UUID, steps int)
	ClearStepLimit(function uuid.UUID) bool
	SetStateSizeLimit(function uuid.UUID, bytes int)
	ClearStateSizeLimit(function uuid.UUID) bool
}
