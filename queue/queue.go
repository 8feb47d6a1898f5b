// Package queue owns how due work is handed out: the contract between the
// executor and whatever keeps jobs, the heap of jobs that are due later, and
// the ready line that is fair between functions. Package partition below it
// is the native implementation on partition logs.
//
// It guarantees that a job is leased to one executor at a time and stays until
// a committed transition concludes it. It must not call SDKs.
package queue

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// ErrClosed is returned by Lease when the queue hands out no more work.
var ErrClosed = errors.New("queue is closed")

// Lease is the right and the duty to execute a job once. It ends with a
// committed transition that names the job, or with Release, which also ends
// the lease of a job whose run is gone: what limits count as being executed is
// counted until then.
type Lease struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID
	Job        state.Job
	// Mark is a position in the stream of events at the time of the lease: a
	// wait that the job creates also sees events above it. It is opaque to the
	// executor, which hands it back in Transition.Mark.
	Mark uint64
	// Token tells this lease from later ones of the same job. It is opaque.
	Token uint64
	// Lasts tells whether the queue still hands the job out to no one else, as
	// far as it knows. It is quick, and nil when that cannot end unnoticed.
	Lasts func() bool
}

// Over tells that the job may have been handed out to someone else: what it
// asks for must not be begun any more.
func (l *Lease) Over() bool { return l.Lasts != nil && !l.Lasts() }

// Lane parts jobs by what they cost.
type Lane uint8

// The lanes.
const (
	// LaneCall is for jobs that call an SDK, and may take long.
	LaneCall Lane = iota
	// LaneWake is for ends of sleeps and of waits, which only commit a
	// transition: they never wait for a worker that is busy with a call.
	LaneWake
	// LaneFirst is LaneCall again, for workers that are kept for functions
	// none of whose calls is leased: they take only such a function's job, so
	// that it waits neither for a backlog nor for slow calls of others.
	LaneFirst
)

// LaneOf is the lane of a job.
func LaneOf(kind state.JobKind) Lane {
	if kind == state.JobSleep || kind == state.JobPause {
		return LaneWake
	}
	return LaneCall
}

// Queue hands out due jobs. Every implementation must pass the conformance
// suite in queue/queuetest.
type Queue interface {
	// Lease blocks until a job of the lane is due, ctx ends or the queue closes.
	Lease(ctx context.Context, lane Lane) (Lease, error)
	// Release ends a lease whose job was not concluded. If its run still has
	// the job, and nobody else has leased it meanwhile, it is due at once.
	Release(lease Lease)
}
