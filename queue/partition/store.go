package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/jcs"
	"jetstep/queue"
	"jetstep/state"
)

// Lease implements queue.Queue.
func (n *Node) Lease(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	for {
		job, err := n.lanes[lane].Pop(ctx)
		if err != nil {
			return queue.Lease{}, err
		}
		if lease, ok := job.owner.lease(job.ref); ok {
			return lease, nil
		}
	}
}

// Release implements queue.Queue.
func (n *Node) Release(lease queue.Lease) {
	if o, err := n.ownerOf(lease.RunID); err == nil {
		o.release(jobRef{lease.RunID, lease.Job.ID}, lease.Token)
	}
}

// Load implements state.Store.
func (n *Node) Load(_ context.Context, id ulid.ULID) (*state.Run, error) {
	o, err := n.ownerOf(id)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.usable(); err != nil {
		return nil, err
	}
	run, ok := o.index.View(id)
	if !ok {
		return nil, fmt.Errorf("run %s: %w", id, state.ErrRunNotFound)
	}
	return run, nil
}

// Commit implements state.Store.
func (n *Node) Commit(ctx context.Context, tr *state.Transition) error {
	o, err := n.ownerOf(tr.RunID)
	if err != nil {
		return err
	}
	if err := o.do(ctx, func(t *tx) error { return t.conclude(tr) }); err != nil {
		return fmt.Errorf("run %s: %w", tr.RunID, err)
	}
	return nil
}

// Cancel ends a live run as cancelled. A run of another process is cancelled
// by a durable command, whose effect comes a moment later.
func (n *Node) Cancel(ctx context.Context, id ulid.ULID) error {
	o, err := n.ownerOf(id)
	if err != nil {
		return n.command(ctx, id, state.Message{Kind: state.MessageCancel, RunID: id})
	}
	err = o.do(ctx, func(t *tx) error {
		run, ok := o.index.Run(id)
		if !ok {
			return state.ErrRunNotFound
		}
		t.finish(run, &state.Finish{Status: state.Cancelled})
		return nil
	})
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

// command stores a message from outside for the partition of a run.
func (n *Node) command(ctx context.Context, id ulid.ULID, m state.Message) error {
	c := state.Command{From: state.Outside, Sent: state.Sent{Message: m}}
	return n.bus.SendCommand(ctx, n.partitionOfRun(id), "run", n.newID().String(), c.Marshal())
}

// Signal gives a signal to its waiter and returns whose run that is, or
// ErrNoSignal.
func (n *Node) Signal(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error) {
	var id ulid.ULID
	if name == "" {
		return id, errors.New("a signal needs a name")
	}
	if len(data) > 0 {
		var err error
		if data, err = jcs.Canonicalize(data); err != nil {
			return id, fmt.Errorf("signal %q: %w", name, err)
		}
	}
	p := n.partitionOf(signalKey(name))
	o := n.owner(p)
	if o == nil {
		return id, fmt.Errorf("signal %q: partition %d: %w", name, p, ErrNotOwner)
	}
	err := o.do(ctx, func(t *tx) (err error) {
		id, err = o.sendSignal(t, name, data)
		return err
	})
	if err != nil {
		return id, fmt.Errorf("signal %q: %w", name, err)
	}
	return id, nil
}

// Stats describe the work a node has.
type Stats struct {
	Runs    int // live
	Ready   int // due jobs that wait for a worker
	Timers  int // jobs due later
	Leased  int // jobs being executed
	Watches int // waits for events and cancellations
	Bytes   int // events and memos of live runs
}

// Depth is how many jobs there are, due, due later or being executed.
func (s Stats) Depth() int { return s.Ready + s.Timers + s.Leased }

// Stats sums up over the owned partitions.
func (n *Node) Stats() Stats {
	s := Stats{Ready: n.lanes[queue.LaneCall].Len() + n.lanes[queue.LaneWake].Len()}
	for p := range n.owners {
		o := n.owner(p)
		if o == nil {
			continue
		}
		o.mu.Lock()
		s.Runs += o.index.RunCount()
		s.Bytes += o.index.Size()
		s.Timers += o.timers.Len()
		s.Leased += len(o.leased)
		for range o.index.Watches() {
			s.Watches++
		}
		o.mu.Unlock()
	}
	return s
}

// Unready lists the partitions without a working owner in this process.
func (n *Node) Unready() []int {
	var missing []int
	for p := range n.owners {
		if n.owner(p) == nil {
			missing = append(missing, p)
		}
	}
	return missing
}
