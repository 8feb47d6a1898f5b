package partition

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"jetstep/bus"
	"jetstep/state"
)

const (
	// courierBatch bounds how many events are published at once.
	courierBatch = 512
	// resendAfter is how long a message may stay unconfirmed before it is sent
	// again, with all that follow it.
	resendAfter = 2 * time.Second
)

// courier delivers an owner's outbox: events to EVENTS, messages to partitions
// that other processes own through IN_<p>. Messages to owners in this process
// take the short way (Node.durable). Delivery is in order for each destination
// and repeated until confirmed; receivers drop what they had.
type courier struct {
	o    *Owner
	mu   sync.Mutex
	wait map[int][]state.Sent // by destination
	wake chan struct{}
	done sync.WaitGroup
	end  context.CancelFunc
}

func newCourier(o *Owner) *courier {
	return &courier{o: o, wait: map[int][]state.Sent{}, wake: make(chan struct{}, 1)}
}

// start sends what the log left undelivered, and from then on what is given.
func (c *courier) start(ctx context.Context) {
	ctx, c.end = context.WithCancel(ctx)
	c.done.Go(func() { c.loop(ctx) })
}

func (c *courier) stop() {
	if c.end != nil {
		c.end()
	}
	c.done.Wait()
}

// give takes a message whose record is durable.
func (c *courier) give(sent state.Sent) {
	c.mu.Lock()
	c.wait[sent.To] = append(c.wait[sent.To], sent)
	c.mu.Unlock()
	c.poke()
}

func (c *courier) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *courier) loop(ctx context.Context) {
	resend := time.NewTicker(resendAfter / 2)
	defer resend.Stop()
	stale := map[int]uint64{} // first unconfirmed at the last look
	c.resend(stale, true)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			c.deliver(ctx)
		case <-resend.C:
			c.resend(stale, false)
		}
	}
}

// resend queues again what has stayed unconfirmed since the last look. Only
// what is durable: the rest may yet be undone.
func (c *courier) resend(stale map[int]uint64, all bool) {
	again := map[int][]state.Sent{}
	c.o.mu.Lock()
	for to, box := range c.o.index.Outboxes() {
		first := max(box.Confirmed, c.o.marks.confirmed[to]) + 1
		waiting := box.Waiting
		for len(waiting) > 0 && waiting[0].N < first {
			waiting = waiting[1:]
		}
		for len(waiting) > 0 && waiting[len(waiting)-1].N > c.o.durable[to] {
			waiting = waiting[:len(waiting)-1]
		}
		if len(waiting) > 0 && (all || stale[to] == first) {
			again[to] = slices.Clone(waiting)
		}
		stale[to] = first
		if len(waiting) == 0 {
			stale[to] = 0
		}
	}
	c.o.mu.Unlock()
	if len(again) == 0 {
		return
	}
	c.mu.Lock()
	for to, messages := range again {
		last := messages[len(messages)-1].N
		for _, queued := range c.wait[to] {
			if queued.N > last {
				messages = append(messages, queued)
			}
		}
		c.wait[to] = messages
	}
	c.mu.Unlock()
	c.poke()
}

// inOrder is what of the messages can be sent now: not what is delivered, and
// nothing while one before them is not. That one will be sent again, and they
// after it: receivers would drop them, and confirming them would confirm it.
// delivered is the number up to which all is.
func (c *courier) inOrder(to int, messages []state.Sent) (rest []state.Sent, delivered uint64) {
	next, delivered := c.o.nextFor(to)
	for len(messages) > 0 && messages[0].N < next {
		messages = messages[1:]
	}
	if len(messages) > 0 && messages[0].N > next {
		return nil, delivered
	}
	return messages, delivered
}

// oneByOne is how many of the messages, at most limit, have numbers that follow
// one another. They do not where an owner took over: what is after it is sent
// once all before it is delivered.
func oneByOne(messages []state.Sent, limit int) int {
	n := min(len(messages), 1)
	for n < min(len(messages), limit) && messages[n].N == messages[n-1].N+1 {
		n++
	}
	return n
}

// deliver sends what waits, until nothing does.
func (c *courier) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		wait := c.wait
		c.wait = map[int][]state.Sent{}
		c.mu.Unlock()
		if len(wait) == 0 {
			return
		}
		c.publish(ctx, wait)
		for to, messages := range wait {
			if !state.IsEvents(to) {
				c.forward(ctx, to, messages)
			}
		}
	}
}

// publish stores events. Those of one destination stay in order; all
// destinations share a round trip.
func (c *courier) publish(ctx context.Context, wait map[int][]state.Sent) {
	for {
		var batch []*bus.Event
		upTo := map[int]uint64{}
		for to, messages := range wait {
			if !state.IsEvents(to) {
				continue
			}
			messages, delivered := c.inOrder(to, messages)
			n := oneByOne(messages, courierBatch)
			for i, sent := range messages[:n] {
				source := &bus.Source{From: c.o.id, N: sent.N}
				if i == 0 {
					source.Next, source.After = true, delivered
				}
				batch = append(batch, outgoingEvent(&sent, source))
				upTo[to] = sent.N
			}
			wait[to] = messages[n:]
		}
		if len(batch) == 0 {
			return
		}
		err := c.o.node.bus.Publish(ctx, batch)
		if errors.Is(err, bus.ErrTooLarge) {
			err = c.publishSingly(ctx, batch)
		}
		if err != nil {
			// They stay in the outbox and are sent again.
			c.o.log.Warn("internal events not published yet", "events", len(batch), "error", err)
			return
		}
		for to, n := range upTo {
			c.o.confirm(to, n)
		}
	}
}

// publishSingly stores events one by one and sets aside those that no message
// can hold: nothing behind them may wait for ever.
func (c *courier) publishSingly(ctx context.Context, batch []*bus.Event) error {
	for _, e := range batch {
		err := c.o.node.bus.Publish(ctx, []*bus.Event{e})
		if errors.Is(err, bus.ErrTooLarge) {
			c.o.log.Error("internal event set aside: it is too large to be published", "event", e.Name, "event_id", e.InternalID, "error", err)
			// Its number must come, or the receiver would wait for it.
			e.Data, e.User, e.Meta = nil, nil, nil
			err = c.o.node.bus.Publish(ctx, []*bus.Event{e})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func outgoingEvent(sent *state.Sent, source *bus.Source) *bus.Event {
	e := sent.Message.Event
	return &bus.Event{
		InternalID: e.InternalID, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, TS: e.TS, V: e.V, Meta: e.Meta, Source: source,
	}
}

// forward hands messages to the owner of a partition, here or elsewhere.
func (c *courier) forward(ctx context.Context, to int, messages []state.Sent) {
	for len(messages) > 0 {
		// What is too early for an owner here may wait in its command stream for
		// something before it: the message has to go the same way.
		if owner := c.o.node.owner(to); owner != nil && !c.o.handOver(owner, &messages[0]) {
			messages = messages[1:]
			continue
		}
		var delivered uint64
		if messages, delivered = c.inOrder(to, messages); len(messages) == 0 {
			return
		}
		sent := &messages[0]
		id := strconv.Itoa(c.o.id) + "." + strconv.FormatUint(sent.N, 10)
		command := state.Command{From: c.o.id, Sent: *sent, Next: true, After: delivered}
		err := c.o.node.sendCommand(ctx, to, "message", id, &command)
		if err != nil {
			c.o.log.Warn("message to another partition not sent yet", "to", to, "error", err)
			return
		}
		c.o.confirm(to, sent.N) // it is durable in IN_<to>: that is delivery
		messages = messages[1:]
	}
}

// sendCommand makes a command durable for the owner of a partition, wherever it is.
func (n *Node) sendCommand(ctx context.Context, to int, kind, id string, c *state.Command) error {
	c.Seen, c.Registry = n.bus.LastEvent(), n.bus.Registry().Revision()
	return n.bus.SendCommand(ctx, to, kind, id, c.Marshal())
}

// confirm notes that a destination has everything up to n.
func (o *Owner) confirm(to int, n uint64) {
	o.mu.Lock()
	o.marks.confirm(to, n)
	o.mu.Unlock()
}

// nextFor is the number of the first message to a destination that is not known
// to be delivered, and the number up to which all are.
func (o *Owner) nextFor(to int) (next, delivered uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delivered = o.marks.confirmed[to]
	box := o.index.Outbox(to)
	if box == nil {
		return delivered + 1, delivered
	}
	delivered = max(delivered, box.Confirmed)
	first, _ := slices.BinarySearchFunc(box.Waiting, delivered+1, func(s state.Sent, n uint64) int { return cmp.Compare(s.N, n) })
	if first == len(box.Waiting) {
		return delivered + 1, delivered
	}
	return box.Waiting[first].N, delivered
}

// numbersPerMilli is more than any owner can send to one destination.
const numbersPerMilli = 1 << 14

// firstNumber is where an owner that begins at that time (milliseconds since
// 1970) goes on numbering its messages: above all that earlier owners can have
// used. The log may have lost its end in a power failure, and receivers would
// take numbers that come again for messages that they had.
func firstNumber(now int64) uint64 { return uint64(now) * numbersPerMilli }

// nextSend is the number of the next message to a destination. mu is held.
func (o *Owner) nextSend(to int) uint64 { return max(o.index.NextSend(to), o.firstNumber) }
