package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/state"
)

// ErrNotOwner is returned while a partition has no working owner here, for
// instance while it loads again after a failed append. Trying later helps.
var ErrNotOwner = errors.New("partition has no owner here")

// Owner is the single writer of one partition's log, with the state that the
// log describes.
type Owner struct {
	node *Node
	id   int
	log  *slog.Logger

	// mu serialises decisions: whoever holds it decides, applies and appends.
	// Nothing waits for I/O under it.
	mu     sync.Mutex
	index  *state.Index
	writer *writer
	timers queue.Timers
	stale  int // timers of jobs that are gone
	leased map[jobRef]leased
	// emptying, unless nil, is closed when no job is leased any more: until then
	// none is handed out, and withheld are those that would have been.
	emptying chan struct{}
	withheld []jobRef
	held     func() bool // whether the lease of the partition lasts
	lasts    func() bool // leads, made once
	watches  watchIndex
	// admission decides about due jobs of functions with limits.
	admission admission
	foreign   foreigners
	recent    recentEvents
	crons     cronTable
	// Of flow control: what is due, and what is to be cancelled.
	deadlines  deadlines
	timeouts   timeouts
	sweeps     sweeps
	complaints complaints
	compact    compaction
	closing    bool
	failed     error
	over       atomic.Bool // failed is set

	marks   pendingMarks
	courier *courier
	// firstNumber is the least number of a message sent by this owner.
	firstNumber uint64
	// durable is, by destination, the number up to which messages in the
	// outbox are durable.
	durable map[int]uint64
	// checkpoints hold, for calls that report steps while they last, the
	// EVENTS sequence known at the last report.
	checkpoints map[ulid.ULID]uint64

	wake   chan struct{} // the timer loop should look again
	wakes  int64         // when it will at the latest, in milliseconds; mu guards it
	broken chan error    // why the owner failed, for its keeper
	leave  chan struct{} // another process is to have the partition
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// jobRef identifies a job in the process.
type jobRef = gate.Ref

// pendingMarks are inputs consumed since the last record: each record takes
// them along, and an idle owner writes them by themselves.
type pendingMarks struct {
	reset     *state.Marks // an input stream began anew
	events    uint64
	commands  uint64
	received  map[int]uint64
	confirmed map[int]uint64
}

func (m *pendingMarks) empty() bool {
	return m.reset == nil && m.events == 0 && m.commands == 0 && len(m.received) == 0 && len(m.confirmed) == 0
}

// openOwner loads the partition and fences earlier owners. The owner does not
// act before start.
func openOwner(ctx context.Context, n *Node, id int) (*Owner, error) {
	o := &Owner{
		node:        n,
		id:          id,
		log:         n.log.With("partition", id),
		leased:      map[jobRef]leased{},
		held:        func() bool { return true },
		watches:     watchIndex{},
		durable:     map[int]uint64{},
		checkpoints: map[ulid.ULID]uint64{},
		wake:        make(chan struct{}, 1),
		broken:      make(chan error, 1),
		leave:       make(chan struct{}, 1),
	}
	o.lasts = o.leads
	o.admission = newAdmission(o)
	o.foreign = newForeigners(o.admission.gate, o.admission.plan)
	log, err := n.bus.OpenLog(id)
	if err != nil {
		return nil, err
	}
	o.writer = newWriter(o, log)
	if err := o.load(ctx); err != nil {
		log.Close()
		return nil, fmt.Errorf("partition %d: %w", id, err)
	}
	for to := range o.index.Outboxes() {
		o.durable[to] = o.index.NextSend(to) - 1
	}
	o.courier = newCourier(o)
	return o, nil
}

// start lets the owner act: due jobs, undelivered messages, events, commands.
func (o *Owner) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if o.node.atRest {
		o.rest(ctx, cancel)
		return nil
	}
	o.mu.Lock()
	o.cancel = cancel
	now := o.node.now()
	if o.node.foreign != nil {
		o.admission.opens = math.MaxInt64 // until reports can come
	}
	var settled []*state.Run
	for run := range o.index.Runs() {
		o.holdPlace(run)
		o.scheduleAll(run, run.Jobs, now)
		o.watchTimeouts(run)
		settled = append(settled, run)
	}
	for _, run := range settled {
		o.settle(run, now)
	}
	o.crons.load(o, now)
	o.admit()
	after := o.index.Events()
	commands := o.index.Commands()
	o.mu.Unlock()

	o.courier.start(ctx)
	stopEvents, err := o.node.bus.ConsumeEvents(ctx, o.id, after, o.handleEvent)
	if err != nil {
		return err
	}
	stopCommands, err := o.node.bus.ConsumeCommands(ctx, o.id, commands, o.handleCommand)
	if err != nil {
		stopEvents()
		return err
	}
	stopAnswers, err := o.node.bus.Answer(o.id, o.reply)
	if err != nil {
		stopEvents()
		stopCommands()
		return err
	}
	context.AfterFunc(ctx, func() { stopEvents(); stopCommands(); stopAnswers() })
	if o.node.foreign != nil {
		o.mu.Lock()
		o.admission.opens = o.node.now() + foreignSettle
		o.mu.Unlock()
	}
	o.done.Go(func() { o.loop(ctx) })
	return nil
}

// stop ends the owner: no more input, everything decided is appended.
func (o *Owner) stop(ctx context.Context) error {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	if o.cancel != nil {
		o.cancel()
	}
	o.courier.stop()
	o.done.Wait()
	o.mu.Lock()
	if o.failed == nil && !o.marks.empty() {
		o.begin().commit(nil)
	}
	o.mu.Unlock()
	o.loseLeases()
	err := o.writer.drain(ctx)
	o.writer.log.Close()
	return err
}

// fail puts the owner out of action after a failed append; the node replaces
// it by a newly loaded one.
func (o *Owner) fail(err error) {
	o.mu.Lock()
	first := o.failed == nil
	if first {
		o.failed = err
		o.over.Store(true)
	}
	cancel := o.cancel
	o.mu.Unlock()
	if first {
		if cancel != nil {
			cancel()
		}
		o.broken <- err
	}
}

func (o *Owner) isClosing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing
}

// usable reports why the owner cannot decide anything now. mu is held.
func (o *Owner) usable() error {
	if o.failed != nil {
		return fmt.Errorf("partition %d: %w: %w", o.id, ErrNotOwner, o.failed)
	}
	return nil
}

// do runs decide under the lock as one record and waits until it is durable.
func (o *Owner) do(ctx context.Context, decide func(*tx) error) error {
	done := make(chan error, 1)
	o.mu.Lock()
	if err := o.usable(); err != nil {
		o.mu.Unlock()
		return err
	}
	t := o.begin()
	err := decide(t)
	if err == nil && t.empty() {
		o.admit() // a lease may have ended
		o.mu.Unlock()
		return nil
	}
	if err != nil {
		// A decision that fails has applied nothing: it errs before it acts.
		o.mu.Unlock()
		return err
	}
	t.commit(func(err error) { done <- err })
	o.mu.Unlock()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("partition %d: %w: %w", o.id, ErrNotOwner, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// loop runs timers, schedules and housekeeping.
func (o *Owner) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-o.wake:
		}
		next := o.tick(ctx)
		timer.Reset(next)
	}
}

// idleTick is how often an owner with nothing due does its housekeeping.
const idleTick = 500 * time.Millisecond

// tick does what is due now and returns how long until the next is. ctx ends
// with the owner.
func (o *Owner) tick(ctx context.Context) time.Duration {
	o.writer.log.Stalled(appendTimeout)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil || o.closing {
		return idleTick
	}
	if o.node.atRest {
		o.writeMarks()
		return idleTick
	}
	now := o.node.now()
	o.refreshLimits()
	o.foreign.expire(now)
	o.fireTimers(now)
	dues := [...]int64{o.fireCrons(now), o.fireDeadlines(now), o.fireTimeouts(now)}
	sweeping := o.sweepSome()
	o.writeMarks()
	o.compactSome(ctx)
	o.admit()
	o.tellWaiting(now)
	next := now + idleTick.Milliseconds()
	if due, ok := o.timers.Next(); ok {
		next = min(next, due)
	}
	if at, ok := o.admission.gate.NextAt(); ok {
		next = min(next, at)
	}
	if opens := o.admission.opens; opens > now {
		next = min(next, opens)
	}
	for _, due := range dues {
		if due > 0 {
			next = min(next, due)
		}
	}
	if sweeping {
		next = min(next, now+sweepPause.Milliseconds())
	}
	o.wakes = next
	return time.Duration(max(next-now, 0)) * time.Millisecond
}

// writeMarks records what was consumed if nothing else is about to.
func (o *Owner) writeMarks() {
	if !o.marks.empty() && o.writer.idle() {
		o.begin().commit(nil)
	}
}

// wakeBy makes the loop look at its timers at that time, in milliseconds, at
// the latest. mu is held.
func (o *Owner) wakeBy(at int64) {
	if at < o.wakes {
		o.wakes = at
		o.poke()
	}
}

// poke makes the loop look at its timers.
func (o *Owner) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
