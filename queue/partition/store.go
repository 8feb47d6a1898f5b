package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/jcs"
	"jetstep/queue"
	"jetstep/state"
)

// Load implements state.Store.
func (n *Node) Load(ctx context.Context, id ulid.ULID) (*state.Run, error) {
	if o := n.owner(n.partitionOfRun(id)); o != nil {
		return o.view(id)
	}
	a, err := n.ask(ctx, n.partitionOfRun(id), question{Kind: askLoad, RunID: id})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	return a.Run, nil
}

func (o *Owner) view(id ulid.ULID) (*state.Run, error) {
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
	if o := n.owner(n.partitionOfRun(tr.RunID)); o != nil {
		return o.commit(ctx, tr)
	}
	if _, err := n.ask(ctx, n.partitionOfRun(tr.RunID), question{Kind: askCommit, Transition: tr}); err != nil {
		return fmt.Errorf("run %s: %w", tr.RunID, err)
	}
	return nil
}

func (o *Owner) commit(ctx context.Context, tr *state.Transition) error {
	if err := o.do(ctx, func(t *tx) error { return t.conclude(tr) }); err != nil {
		return fmt.Errorf("run %s: %w", tr.RunID, err)
	}
	return nil
}

// Cancel ends a live run as cancelled. While its partition has no owner
// anywhere, the request is kept, and carried out by the next one.
func (n *Node) Cancel(ctx context.Context, id ulid.ULID) error {
	p := n.partitionOfRun(id)
	if o := n.owner(p); o != nil {
		return o.cancelRun(ctx, id)
	}
	_, err := n.ask(ctx, p, question{Kind: askCancel, RunID: id})
	if errors.Is(err, bus.ErrNobodyAnswers) {
		c := state.Command{From: state.Outside, Sent: state.Sent{Message: state.Message{Kind: state.MessageCancel, RunID: id}}}
		err = n.sendCommand(ctx, p, "run", n.newID().String(), &c)
	}
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

func (o *Owner) cancelRun(ctx context.Context, id ulid.ULID) error {
	err := o.do(ctx, func(t *tx) error {
		run, ok := o.index.Run(id)
		if !ok {
			return state.ErrRunNotFound
		}
		t.cancel(run, ulid.ULID{})
		return nil
	})
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
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
	if o := n.owner(p); o != nil {
		return o.giveSignal(ctx, name, data)
	}
	a, err := n.ask(ctx, p, question{Kind: askSignal, Name: name, Data: data})
	if err != nil {
		return id, fmt.Errorf("signal %q: %w", name, err)
	}
	return a.RunID, nil
}

func (o *Owner) giveSignal(ctx context.Context, name string, data json.RawMessage) (id ulid.ULID, err error) {
	err = o.do(ctx, func(t *tx) error {
		waiter, ok := o.index.Signal(name)
		if !ok {
			return ErrNoSignal
		}
		id = waiter.RunID
		t.signal(waiter, data)
		return nil
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
	Held    int // due jobs that wait for a limit
	Timers  int // jobs due later
	Leased  int // jobs being executed
	Watches int // waits for events and cancellations
	Bytes   int // events and memos of live runs
}

// Depth is how many jobs there are, due, due later or being executed.
func (s Stats) Depth() int { return s.Ready + s.Held + s.Timers + s.Leased }

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
		s.Timers += max(o.timers.Len()-o.stale, 0)
		s.Leased += len(o.leased)
		s.Held += o.admission.gate.Len()
		s.Watches += o.index.WatchCount()
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
