package partition

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

// facts are the ops of a kind in a partition's log, in order.
func facts[T state.Op](s *site, p int) (list []T) {
	s.t.Helper()
	log, err := s.bus.OpenLog(p)
	require.NoError(s.t, err)
	defer log.Close()
	require.NoError(s.t, log.Replay(s.t.Context(), func(_ uint64, payload []byte) error {
		return state.Decode(payload, func(r *state.Record) error {
			for _, op := range r.Ops {
				if fact, ok := op.(T); ok {
					list = append(list, fact)
				}
			}
			return nil
		})
	}))
	return list
}

// Messages of another partition come twice, late, early, by two ways and to
// owners that are replaced: each is taken once, in order.
func TestMessagesAreTakenOnceInOrder(t *testing.T) {
	t.Parallel()
	const sent, source = 150, 0
	s := newSite(t, 2)
	dice := rand.New(rand.NewPCG(1, 2))
	message := func(n uint64) *state.Sent {
		// The last to ask for a signal has it: order and repeats can be seen.
		return &state.Sent{To: 1, N: n, Message: state.Message{
			Kind: state.MessageSignalWait, Name: "x", RunID: ulid.ULID{6: 1, 15: byte(n)}, Step: fmt.Sprint(n), Flag: true,
		}}
	}
	received := func() (n uint64) {
		s.in(1, func(o *Owner) { n = max(o.index.Received(source), o.marks.received[source]) })
		return n
	}
	for i := 0; received() < sent; i++ {
		// Near what is expected, on both sides of it.
		n := received() + uint64(dice.IntN(6))
		n = min(max(n, 3)-2, sent)
		if dice.IntN(3) == 0 {
			c := state.Command{From: source, Sent: *message(n)}
			require.NoError(t, s.bus.SendCommand(t.Context(), 1, "message", fmt.Sprint(i), c.Marshal()))
		} else {
			s.node.owner(1).receive(source, message(n), false, 0)
		}
		if i%100 == 99 {
			s.replaceOwner(1)
		}
	}
	s.settled()
	var steps []string
	for _, fact := range facts[*state.SignalPut](s, 1) {
		steps = append(steps, fact.Step)
	}
	require.Len(t, steps, sent)
	for i, step := range steps {
		require.Equal(t, fmt.Sprint(i+1), step)
	}
}

// Two partitions talk while both are replaced again and again: every message
// arrives, once.
func TestMessagesSurviveTheirOwners(t *testing.T) {
	t.Parallel()
	const runs = 60
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	var ids []ulid.ULID
	for i := range runs {
		s.send("begin", `{}`)
		lease := s.call()
		for lease.Job.Kind != state.JobStart {
			lease = s.call()
		}
		ids = append(ids, lease.RunID)
		for s.node.Commit(t.Context(), waitForEvent(lease, s.await(lease.RunID), fmt.Sprint("go/", i%5), fmt.Sprintf("async.data.i == %d", i), time.Now().Add(time.Hour))) != nil {
			s.eventually(func() bool { return len(s.node.Unready()) == 0 })
		}
		s.send(fmt.Sprint("go/", i%5), fmt.Sprintf(`{"i":%d}`, i))
		if i%10 == 9 {
			s.replaceOwner(i / 10 % 2)
		}
	}
	for i, id := range ids {
		s.eventually(func() bool {
			run, err := s.node.Load(t.Context(), id)
			if err != nil {
				return false
			}
			_, ok := run.Memo("w")
			return ok
		}, "run %d was forgotten", i)
		require.Len(t, s.load(id).Steps, 1)
	}
	s.eventually(func() bool { return s.node.Stats().Watches == 0 })
	s.eventually(func() bool {
		waiting := 0
		for p := range 2 {
			s.in(p, func(o *Owner) {
				for _, box := range o.index.Outboxes() {
					waiting += len(box.Waiting)
				}
			})
		}
		return waiting == 0
	}, "messages are not confirmed")
}

// await loads a run as soon as its partition has an owner.
func (s *site) await(id ulid.ULID) (run *state.Run) {
	s.t.Helper()
	s.eventually(func() (ok bool) {
		var err error
		run, err = s.node.Load(s.t.Context(), id)
		return err == nil
	})
	return run
}

// Events of an outbox that were published twice count once.
func TestOutboxEventsCountOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "internal"))
	from := 1 - s.node.partitionOf("internal")
	s.node.owner(from).courier.stop() // the test sends
	event := func(n uint64) *state.Sent {
		e := newEvent("internal", fmt.Sprintf(`{"n":%d}`, n))
		return &state.Sent{N: n, Message: state.Message{Kind: state.MessageEvent, Event: &state.SentEvent{
			InternalID: e.InternalID, ID: e.ID, Name: e.Name, Data: e.Data, TS: e.TS,
		}}}
	}
	for _, n := range []uint64{1, 1, 3, 2, 1, 3, 3, 4} { // the first 3 came too early
		s.publish(outgoingEvent(event(n), &bus.Source{From: from, N: n}))
	}
	awaitStarted(s, "fn", "fn", "fn", "fn")
	s.settled()
	s.restart()
	s.publish(outgoingEvent(event(4), &bus.Source{From: from, N: 4, Next: true, After: 3}), outgoingEvent(event(5), &bus.Source{From: from, N: 5}))
	awaitStarted(s, "fn", "fn", "fn", "fn", "fn")
	seen := map[string]int{}
	for _, run := range s.rec.scheduled {
		var e struct{ Data struct{ N int } }
		require.NoError(t, json.Unmarshal(run.Events[0], &e))
		seen[fmt.Sprint(e.Data.N)]++
	}
	require.Equal(t, map[string]int{"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}, seen)
}

// A failed run's message of failure comes from the partition of its signal.
func TestMessageThatFailsARun(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	lease := s.begin("begin")
	p := s.node.partitionOfRun(lease.RunID)
	for range 2 {
		n := uint64(0)
		s.in(p, func(o *Owner) { n = o.received(1-p) + 1 })
		require.False(t, s.node.owner(p).receive(1-p, &state.Sent{To: p, N: n, Message: state.Message{
			Kind: state.MessageFail, RunID: lease.RunID, Name: "N", Text: "why",
		}}, false, 0))
		require.Equal(t, ending{state.Failed, `{"message":"why","name":"N"}`, 1}, s.ended(lease.RunID))
	}
	s.settled()
	require.Equal(t, 1, s.ended(lease.RunID).times)
}

// What a partition's inputs have lost does not stop what comes after it.
func TestLostMessagesStopNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "internal"))
	to := s.node.partitionOf("internal")
	from := 1 - to
	wait := func(n uint64) state.Sent {
		return state.Sent{To: to, N: n, Message: state.Message{Kind: state.MessageSignalWait, Name: "x", RunID: ulid.ULID{}, Step: fmt.Sprint(n), Flag: true}}
	}
	send := func(n uint64, next bool) {
		c := state.Command{From: from, Sent: wait(n), Next: next}
		require.NoError(t, s.bus.SendCommand(t.Context(), to, "message", ulid.Make().String(), c.Marshal()))
	}
	waiter := func() (step string) {
		s.in(to, func(o *Owner) { signal, _ := o.index.Signal("x"); step = signal.Step })
		return step
	}
	send(1, true)
	send(6, false) // too early, as far as is known
	send(5, true)  // all before it was delivered, and 2 to 4 are not there
	send(4, false)
	send(6, false)
	s.eventually(func() bool { return waiter() == "6" })
	s.settled()
	require.Len(t, facts[*state.SignalPut](s, to), 3)

	// The sender believes that 8 messages were delivered; the next one goes
	// through the command stream, behind whatever may wait there.
	o := s.node.owner(from)
	o.mu.Lock()
	o.index.ApplyOp(&state.Confirmed{To: to, N: 8}, 0)
	tx := o.begin()
	tx.send(to, wait(9).Message)
	tx.commit(nil)
	o.mu.Unlock()
	s.eventually(func() bool { return waiter() == "9" })

	e := newEvent("internal", `{}`)
	lost := func(n uint64, next bool) *bus.Event {
		return outgoingEvent(&state.Sent{N: n, Message: state.Message{Event: &state.SentEvent{InternalID: e.InternalID, ID: fmt.Sprint(n), Name: "internal", Data: e.Data}}},
			&bus.Source{From: from, N: n, Next: next})
	}
	s.publish(lost(3, false), lost(7, true), lost(8, false), lost(7, true), lost(2, true))
	awaitStarted(s, "fn", "fn")
}

// What was delivered through the command stream and was not taken yet comes before
// what is handed over directly, also where numbers leap.
func TestCommandStreamComesFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	message := func(n uint64) *state.Sent {
		return &state.Sent{To: 1, N: n, Message: state.Message{Kind: state.MessageUnwatch}}
	}
	to := s.node.owner(1)
	require.True(t, to.receive(0, message(50), true, 40), "what is up to 40 is in the command stream")
	s.in(1, func(o *Owner) { require.Zero(t, o.received(0)) })
	require.False(t, to.receive(0, message(40), true, 0))
	require.False(t, to.receive(0, message(50), true, 40))
	s.in(1, func(o *Owner) { require.EqualValues(t, 50, o.received(0)) })
}

// A log that lost its end in a power failure does not know what its owner sent
// last: what it sends then must not pass for that.
func TestNumbersDoNotComeAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.register(on("fn", "begin"))
	before := s.node.owner(0).firstNumber
	for n := range uint64(5) {
		s.node.owner(1).receive(0, &state.Sent{To: 1, N: before + n + 1, Message: state.Message{Kind: state.MessageUnwatch}}, false, 0)
	}
	s.in(1, func(o *Owner) { require.Zero(t, o.received(0), "what is too early waits") })
	c := state.Command{From: 0, Sent: state.Sent{To: 1, N: before + 5, Message: state.Message{Kind: state.MessageUnwatch}}, Next: true}
	require.NoError(t, s.bus.SendCommand(t.Context(), 1, "message", "lost", c.Marshal()))
	s.eventually(func() (done bool) {
		s.in(1, func(o *Owner) { done = o.received(0) == before+5 })
		return done
	})

	for s.node.owner(0).firstNumber <= before+5 { // a machine takes longer to start
		s.replaceOwner(0)
	}
	lease := s.begin("begin")
	for s.node.partitionOfRun(lease.RunID) != 0 {
		lease = s.begin("begin")
	}
	s.commit(waitForEvent(lease, s.load(lease.RunID), s.nameIn(1, "go"), "", time.Now().Add(time.Hour)))
	s.eventually(func() bool { return s.node.Stats().Watches == 1 })
}
