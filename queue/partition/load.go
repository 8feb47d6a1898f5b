package partition

import (
	"context"
	"fmt"
	"time"

	"jetstep/state"
)

// load replays the log and takes it over by appending the first record of
// this owner. It ends with bus.ErrFenced if someone else appended meanwhile.
func (o *Owner) load(ctx context.Context) error {
	o.index = state.NewIndex()
	err := o.writer.log.Replay(ctx, func(seq uint64, payload []byte) error {
		o.compact.bytes += len(payload)
		return state.DecodeState(payload, func(r *state.Record) error {
			o.index.Apply(r)
			for _, op := range r.Ops {
				o.followHomes(op)
			}
			o.node.replayed(r)
			return nil
		})
	})
	if err != nil {
		return err
	}
	o.compact.floor = o.writer.log.End()
	if err := o.checkInputs(ctx); err != nil {
		return err
	}
	return o.takeOver()
}

// takeOver fences earlier owners, repairs what a defect may have left stuck,
// and builds what is derived from the index.
func (o *Owner) takeOver() error {
	for w := range o.index.Watches() {
		if err := o.watches.add(w); err != nil {
			o.log.Error("watch holds an unusable expression", "run_id", w.RunID, "error", err)
		}
	}
	o.deadlines.load(o.index)
	done := make(chan error, 1)
	o.mu.Lock()
	o.recent = recentEvents{from: o.index.Events()}
	t := o.begin()
	o.firstNumber = firstNumber(t.now)
	t.do(&state.Owned{Node: o.node.name})
	t.repair()
	t.commit(func(err error) { done <- err })
	o.mu.Unlock()
	return o.await(done)
}

// await waits for the first record, before the loop runs that looks after appends
// which are not acknowledged.
func (o *Owner) await(done <-chan error) error {
	look := time.NewTicker(idleTick)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-look.C:
			o.writer.log.Stalled(appendTimeout)
		}
	}
}

// checkInputs compares what was consumed with what the input streams hold: a
// stream that lost its end (power loss, a restored backup) uses sequences
// again, which must not pass for consumed (jetstream-facts §12, no. 15).
func (o *Owner) checkInputs(ctx context.Context) error {
	events, err := o.node.bus.LastEventSequence(ctx)
	if err != nil {
		return err
	}
	o.node.bus.SawEvent(events) // as the owner before may have
	commands, err := o.node.bus.LastCommandSequence(ctx, o.id)
	if err != nil {
		return err
	}
	if o.index.Events() <= events && o.index.Commands() <= commands {
		return nil
	}
	o.log.Warn("an input stream lost its end; going on from where it ends now",
		"events_consumed", o.index.Events(), "events_last", events,
		"commands_consumed", o.index.Commands(), "commands_last", commands)
	reset := &state.Marks{Reset: true, Events: min(o.index.Events(), events), Commands: min(o.index.Commands(), commands)}
	o.index.ApplyOp(reset, o.node.now())
	o.marks.reset = reset
	return nil
}

// repair gives every run that has nothing to go on with a job, and every step
// that waits a timeout. None should need it: it is the last net under the
// guarantee that no run is stuck.
func (t *tx) repair() {
	var stuck []*state.Run
	for run := range t.o.index.Runs() {
		if len(run.Jobs) == 0 {
			stuck = append(stuck, run)
		}
	}
	for _, run := range stuck {
		t.o.log.Warn("run had nothing to go on with: it is called again", "run_id", run.ID)
		t.redrive(run, 0)
	}
}

// errorf wraps an error with the partition.
func (o *Owner) errorf(format string, args ...any) error {
	return fmt.Errorf("partition %d: %w", o.id, fmt.Errorf(format, args...))
}
