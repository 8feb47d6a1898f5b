package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// ErrNoFunction is returned for a run of a function that is not registered.
var ErrNoFunction = errors.New("no such function")

// NewRunID is an id for a run of the function that is asked for by itself. It
// names the partition that the function's runs belong to.
func (n *Node) NewRunID(fn uuid.UUID) (ulid.ULID, error) {
	return n.NewRunIDFor(fn, n.newID().String())
}

// NewRunIDFor is NewRunID for a run that excludes others with the same key, as
// an event does that has it as its id: they are in one partition.
func (n *Node) NewRunIDFor(fn uuid.UUID, key string) (ulid.ULID, error) {
	found, ok := n.bus.Registry().Catalog().Function(fn)
	if !ok {
		return ulid.ULID{}, fmt.Errorf("function %s: %w", fn, ErrNoFunction)
	}
	spread, shared := found.FlowPartitionKey()
	if !shared {
		spread = function.IdempotencyKey(fn, key)
	}
	return runID(n.partitionOf(spread), time.UnixMilli(n.now()), fn, n.newID().String()), nil
}

// StartRun asks for a run that makes another one again (Start.Original). It is
// durable when StartRun returns; a start with the same id is the same. The run
// passes the gates that limit runs, not those that events pass one by one
// (flow-control §28). RunID is of NewRunID; Events, Steps and Inputs need not
// be canonical.
func (n *Node) StartRun(ctx context.Context, s state.Start) error {
	if err := n.checkStart(&s); err != nil {
		return fmt.Errorf("start run %s: %w", s.RunID, err)
	}
	if err := n.sendByHand(ctx, s.RunID, "start", &state.Message{Kind: state.MessageStart, Start: &s}); err != nil {
		return fmt.Errorf("start run %s: %w", s.RunID, err)
	}
	return nil
}

// sendByHand gives a message that no partition sent to that of the run, and
// returns when it is durable: recorded by the owner, if that is here, or kept
// for it. It may come twice, when it is unknown whether the owner recorded it.
func (n *Node) sendByHand(ctx context.Context, run ulid.ULID, kind string, m *state.Message) error {
	p := n.partitionOfRun(run)
	if o := n.owner(p); o != nil {
		err := o.do(ctx, func(t *tx) error { t.handle(m); return nil })
		if !errors.Is(err, ErrNotOwner) {
			return err
		}
	}
	c := state.Command{From: state.Outside, Sent: state.Sent{Message: *m}}
	return n.sendCommand(ctx, p, kind, run.String(), &c)
}

// checkStart refuses a start that no run can be made of, and gives the rest
// the form that runs have.
func (n *Node) checkStart(s *state.Start) error {
	switch _, ok := n.bus.Registry().Catalog().Function(s.FunctionID); {
	case !ok:
		return fmt.Errorf("function %s: %w", s.FunctionID, ErrNoFunction)
	case s.RunID.IsZero(), s.Original.IsZero():
		return errors.New("a run made again needs its id and that of the original")
	case len(s.Events) == 0, len(s.EventIDs) != len(s.Events):
		return fmt.Errorf("%d events with %d ids", len(s.Events), len(s.EventIDs))
	}
	if s.Mark == 0 {
		s.Mark = n.bus.LastEvent() // events before the run do not cancel it
	}
	if s.Idempotency == "" {
		s.Idempotency = function.IdempotencyKey(s.FunctionID, s.RunID.String())
	}
	s.ClaimFor = claimSeeded.Milliseconds() // longer than anybody repeats it
	events := make([]json.RawMessage, len(s.Events))
	for i, event := range s.Events {
		var err error
		if events[i], err = withUser(event); err != nil {
			return fmt.Errorf("event %s: %w", s.EventIDs[i], err)
		}
	}
	s.Events = events
	for _, list := range []*[]state.Step{&s.Steps, &s.Inputs} {
		steps := make([]state.Step, len(*list))
		for i, step := range *list {
			memo, err := jcs.Canonicalize(step.Memo)
			if err != nil {
				return fmt.Errorf("step %s: %w", step.ID, err)
			}
			steps[i] = state.Step{ID: step.ID, Memo: memo}
		}
		*list = steps
	}
	return nil
}

// withUser is an event as runs have it (state.Run.Events).
func withUser(event json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("an event is an object")
	}
	if user := fields["user"]; jcs.IsNull(user) {
		fields["user"] = json.RawMessage(`{}`)
	}
	whole, err := jcs.Encode(fields)
	if err != nil {
		return nil, err
	}
	return jcs.Canonicalize(whole)
}
