package partition

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"jetstep/function"
	"jetstep/state"
)

// ErrNoSignal is returned when nobody waits for a signal.
var ErrNoSignal = errors.New("no signal found")

// handle does what a message asks for.
func (t *tx) handle(m *state.Message) {
	if t.passOn(m) {
		return
	}
	switch m.Kind {
	case state.MessageStart:
		t.handleStart(m.Start)
	case state.MessageResume:
		t.handleResume(m)
	case state.MessageCancel:
		if run, ok := t.o.index.Run(m.RunID); ok {
			t.cancel(run, m.Cause)
		}
	case state.MessageFail:
		if run, ok := t.o.index.Run(m.RunID); ok {
			failure := state.ErrorObject(m.Name, m.Text)
			t.o.log.Warn("run failed", "run_id", run.ID, "function_id", run.FunctionID, "error", m.Text)
			t.finish(run, &state.Finish{Status: state.Failed, Output: failure, Error: failure})
		}
	case state.MessageWatch:
		t.handleWatch(m.Watch)
	case state.MessageUnwatch:
		if w, ok := t.o.index.Watch(m.Name); ok {
			t.do(&state.WatchRemoved{ID: w.ID, Event: w.Event})
		}
	case state.MessageSignalWait:
		t.handleSignalWait(m)
	case state.MessageSignalUnwait:
		if s, ok := t.o.index.Signal(m.Name); ok && s.RunID == m.RunID && s.Step == m.Step {
			t.do(&state.SignalRemoved{Name: m.Name})
		}
	case state.MessageSignal:
		if s, ok := t.o.index.Signal(m.Name); ok {
			t.signal(s, m.Memo)
		}
	case state.MessageForget:
		if _, placed := t.o.index.Placed(m.RunID); placed {
			t.do(&state.RunForgotten{RunID: m.RunID})
		}
	default:
		t.o.log.Error("message of unknown kind set aside", "kind", m.Kind, "run_id", m.RunID)
	}
}

// handleResume ends a wait of a run with a memo. Whichever of resume and
// timeout is recorded first wins; the other finds no wait.
func (t *tx) handleResume(m *state.Message) {
	run, ok := t.o.index.Run(m.RunID)
	if !ok {
		return
	}
	wait, ok := run.Wait(m.Step)
	if !ok {
		return
	}
	key := run.Key()
	t.transition(run, &state.Transition{
		RunID:    run.ID,
		Saves:    []state.Save{{Step: m.Step, Memo: m.Memo}},
		DropJobs: []string{function.PauseTimeoutJob(key, m.Step)},
		Unwaits:  []string{m.Step},
		Ended: &state.StepEnded{
			RunID: run.ID, FunctionID: run.FunctionID, Step: m.Step, Kind: wait.Kind, EventID: m.Cause, ChildRunID: m.Child,
			About: run.About(),
		},
		Discoveries: []state.Discovery{{
			Job:    t.discoveryJob(run, function.EventJob(key, m.Step), m.Step, wait.Group, wait.Race),
			Always: wait.Race || wait.Group == "",
		}},
	})
}

// discoveryJob is a request to call the function again after a step.
func (t *tx) discoveryJob(run *state.Run, id, outgoing, group string, race bool) state.Job {
	if group != "" && !race {
		id = function.CoalescedJob(run.ID.String(), group)
	}
	return state.Job{ID: id, Kind: state.JobEdge, Due: t.now, MaxAttempts: t.o.node.attempts(run), Outgoing: outgoing}
}

// handleSignalWait makes a step the waiter of a signal name. There is one; a
// second fails its run, or displaces the first when it asks to.
func (t *tx) handleSignalWait(m *state.Message) {
	have, taken := t.o.index.Signal(m.Name)
	if taken && have.RunID == m.RunID && have.Step == m.Step {
		return
	}
	if taken && !m.Flag {
		t.send(t.o.node.partitionOfRun(m.RunID), state.Message{
			Kind: state.MessageFail, RunID: m.RunID, Name: "Error",
			Text: "Signal conflict; signal wait already exists for another run",
		})
		return
	}
	t.do(&state.SignalPut{Name: m.Name, RunID: m.RunID, Step: m.Step})
}

// signal gives a signal to its waiter.
func (t *tx) signal(s state.SignalPut, data json.RawMessage) {
	t.do(&state.SignalRemoved{Name: s.Name})
	t.send(t.o.node.partitionOfRun(s.RunID), state.Message{
		Kind: state.MessageResume, RunID: s.RunID, Step: s.Step, Memo: state.SignalMemo(s.Name, data),
	})
}

// handOver gives a message to an owner in this process. Numbers leap where an owner
// took over; then the receiver is told that all before is delivered, if it is.
func (o *Owner) handOver(to *Owner, sent *state.Sent) (early bool) {
	if !to.receive(o.id, sent, false, 0) {
		return false
	}
	next, delivered := o.nextFor(sent.To)
	return next != sent.N || to.receive(o.id, sent, true, delivered)
}

// receive takes a message of another partition. Only the next in order is
// taken: what was taken before is confirmed again, and what comes too early
// will be sent again after its predecessors. early tells of the latter. next and
// after are as inTurn has them; what is delivered up to after and was not taken yet
// waits in the command stream, and comes first.
func (o *Owner) receive(from int, sent *state.Sent, next bool, after uint64) (early bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil || o.closing {
		return false
	}
	if next && after > o.received(from) {
		return true
	}
	t := o.begin()
	if o.take(t, from, sent, next, after) {
		n := sent.N
		t.commit(func(err error) {
			if err == nil {
				o.node.confirm(from, o.id, n)
			}
		})
		return false
	}
	return sent.N > o.received(from)
}

// received is the number of the last message taken from a source.
func (o *Owner) received(source int) uint64 {
	return max(o.index.Received(source), o.marks.received[source])
}

// inTurn tells whether message n of a source is the next to take; next says
// that the sender knows all before it, up to number after, to be delivered.
// What is missing then is lost (power failed, or a stream's limits removed
// it), and waiting for it would stop the source for ever.
func (o *Owner) inTurn(source int, n uint64, next bool, after uint64) bool {
	last := o.received(source)
	if !next || n <= last {
		return n == last+1
	}
	if after > last {
		o.log.Error("messages to this partition are lost", "source", source, "after", last, "up_to", after)
	}
	return true
}

// take handles the next message of a source as part of a record.
func (o *Owner) take(t *tx, from int, sent *state.Sent, next bool, after uint64) bool {
	if !o.inTurn(from, sent.N, next, after) {
		if sent.N <= o.received(from) && o.writer.idle() {
			// Everything here is durable, so the sender missed a confirmation.
			go o.node.confirm(from, o.id, sent.N)
		}
		return false
	}
	o.marks.receive(from, sent.N)
	t.handle(&sent.Message)
	return true
}

// catchUpWithin is how long an owner waits for the registry, as another process knew
// it. It waits in vain only while NATS is in trouble.
const catchUpWithin = 5 * time.Second

// learn makes the node know what another process knew: how far EVENTS goes, and
// which functions there are. No owner's lock is held.
func (n *Node) learn(event, registry uint64) {
	n.bus.SawEvent(event)
	if registry <= max(n.bus.Registry().Revision(), n.neverSeen.Load()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), catchUpWithin)
	defer cancel()
	if err := n.bus.Registry().AwaitRevision(ctx, registry); err != nil {
		n.neverSeen.Store(registry) // the stream may have lost its end: once is enough
		n.log.Warn("another process knows functions that are not known here yet", "error", err)
	}
}

// handleCommand takes a command from IN_<p>. All up to upTo have been taken then;
// what is beyond comes again to the next owner, to whom it says nothing new.
func (o *Owner) handleCommand(seq, upTo uint64, data []byte) {
	c, err := state.UnmarshalCommand(data)
	if err == nil {
		o.node.learn(c.Seen, c.Registry)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writer.backpressure()
	if o.failed != nil || o.closing || seq <= max(o.index.Commands(), o.marks.commands) {
		return
	}
	o.marks.commands = max(o.marks.commands, upTo)
	if err != nil {
		o.log.Error("command set aside: it cannot be read", "seq", seq, "error", err)
		return
	}
	t := o.begin()
	if c.From == state.Outside {
		t.handle(&c.Sent.Message)
	} else {
		o.take(t, c.From, &c.Sent, c.Next, c.After)
	}
	t.commit(nil)
}
