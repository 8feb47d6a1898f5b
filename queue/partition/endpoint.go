package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jetstep/state"
)

// ErrRunExists is returned when a run that an app begins is already there, or
// its idempotency key has another run.
var ErrRunExists = errors.New("run already exists")

const (
	// claimEndpoint is how long an idempotency key of a durable endpoint counts.
	claimEndpoint = 24 * time.Hour
	// claimBegun is how long a run that its app began cannot be begun again
	// after its end: SDKs repeat their requests for seconds.
	claimBegun = 10 * time.Minute
)

// Begin records a run that its app has begun, in the partition that the run's
// id names, and publishes the event about it. Beginning a run again is
// harmless. It fails with ErrRunExists.
func (n *Node) Begin(ctx context.Context, b *state.Beginning) error {
	if b.Claim != "" {
		if err := n.claimFor(ctx, b); err != nil {
			return fmt.Errorf("begin run %s: %w", b.Run.ID, err)
		}
	}
	p := n.partitionOfRun(b.Run.ID)
	var err error
	if o := n.owner(p); o != nil {
		err = o.beginRun(ctx, b)
	} else {
		_, err = n.ask(ctx, p, question{Kind: askBegin, Beginning: b})
	}
	if err != nil {
		return fmt.Errorf("begin run %s: %w", b.Run.ID, err)
	}
	return nil
}

// claimFor takes the key for the run, in the partition of the key. Should the
// process die before the run is there, its app repeats the request, and the
// key is the run's already.
func (n *Node) claimFor(ctx context.Context, b *state.Beginning) error {
	claim := &state.Beginning{Run: state.Run{ID: b.Run.ID, FunctionID: b.Run.FunctionID}, Claim: b.Claim}
	p := n.partitionOf("endpoint:" + b.Run.FunctionID.String() + b.Claim)
	if o := n.owner(p); o != nil {
		return o.claimFor(ctx, claim)
	}
	_, err := n.ask(ctx, p, question{Kind: askClaim, Beginning: claim})
	return err
}

func (o *Owner) claimFor(ctx context.Context, b *state.Beginning) error {
	return o.do(ctx, func(t *tx) error {
		key := claimKey(b.Run.FunctionID, b.Claim)
		earlier, taken := o.index.Claimed(key, t.now)
		switch {
		case taken && earlier != b.Run.ID:
			return ErrRunExists
		case !taken:
			t.do(&state.KeyClaimed{Key: key, RunID: b.Run.ID, Expires: t.now + claimEndpoint.Milliseconds()})
		}
		return nil
	})
}

func (o *Owner) beginRun(ctx context.Context, b *state.Beginning) error {
	return o.do(ctx, func(t *tx) error {
		key := claimKey(b.Run.FunctionID, b.Run.ID.String())
		if run, live := o.index.Run(b.Run.ID); live {
			if run.FunctionID != b.Run.FunctionID {
				return ErrRunExists
			}
			return nil
		}
		if _, ended := o.index.Claimed(key, t.now); ended {
			return nil
		}
		t.do(&state.RunPut{Run: b.Run})
		t.do(&state.KeyClaimed{Key: key, RunID: b.Run.ID, Expires: t.now + claimBegun.Milliseconds()})
		t.publish(b.Event)
		o.checkpoints[b.Run.ID] = o.node.bus.LastEvent()
		o.node.history.StartDecided(b.Run.FunctionID, StartSuccess)
		return nil
	})
}

// changeEndpoint lets a run that its app began go on by itself, when the
// transition says so or is of a call that the executor made; until then each
// report of the app postpones that.
func (t *tx) changeEndpoint(run *state.Run, tr *state.Transition, change *state.RunChanged) {
	if !run.Sync() {
		return
	}
	job, waiting := run.Job(run.PatienceJob())
	if tr.Detach || tr.Job != "" {
		t.do(&state.EndpointDetached{RunID: run.ID, FunctionID: run.FunctionID})
		if waiting && tr.Job != job.ID {
			t.o.dropTimer(job, t.now)
			change.JobsDone = append(change.JobsDone, job.ID)
		}
		return
	}
	if waiting && tr.Patience > job.Due {
		t.o.dropTimer(job, t.now)
		later := *job
		later.Due = tr.Patience
		change.JobsPut = append(change.JobsPut, later)
	}
}

// appOf is the app of a run's function, zero if it is not known.
func (n *Node) appOf(run *state.Run) uuid.UUID {
	if run.Endpoint != nil {
		return run.Endpoint.AppID
	}
	_, app, _ := n.bus.Registry().Catalog().Executable(run.FunctionID)
	return app
}
