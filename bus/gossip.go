package bus

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// seenSubject is where processes tell each other how far EVENTS goes.
const seenSubject = subjectRoot + "seen"

// seenPause is the least time between two things that a process tells there.
const seenPause = 5 * time.Millisecond

// gossip keeps LastEvent the same in all processes of a NATS, within
// milliseconds. A wait counts the events after the call that asked for it began:
// a process that stores and gets few events itself would take old ones for new.
// Nothing is stored, and a message that is lost is made up for by the next.
type gossip struct {
	bus   *Bus
	sub   *nats.Subscription
	heard atomic.Uint64 // of others, or told by this one
	wake  chan struct{}
	end   chan struct{}
	done  sync.WaitGroup
}

// startGossip begins to tell and to listen, if there can be other processes.
func (b *Bus) startGossip() error {
	if b.server != nil && b.cfg.ListenPort == 0 {
		return nil
	}
	g := &gossip{bus: b, wake: make(chan struct{}, 1), end: make(chan struct{})}
	sub, err := b.control.nc.Subscribe(seenSubject, g.hear)
	if err != nil {
		return fmt.Errorf("listen to other processes: %w", err)
	}
	g.sub = sub
	g.heard.Store(b.LastEvent())
	b.gossip.Store(g)
	g.done.Go(g.tell)
	return nil
}

// stop ends it. The connection may be closed already.
func (g *gossip) stop() {
	_ = g.sub.Unsubscribe() // the connection may be gone: nothing is left to undo
	close(g.end)
	g.done.Wait()
}

// hear takes what another process, or this one, tells.
func (g *gossip) hear(m *nats.Msg) {
	if len(m.Data) != 8 {
		return // not ours
	}
	seq := binary.BigEndian.Uint64(m.Data)
	raise(&g.heard, seq)
	g.bus.SawEvent(seq)
}

// look makes it tell others, if there is something new.
func (g *gossip) look() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *gossip) tell() {
	for {
		select {
		case <-g.wake:
		case <-g.end:
			return
		}
		if last := g.bus.LastEvent(); last > g.heard.Load() {
			raise(&g.heard, last)
			// It fails only while the connection is closed.
			_ = g.bus.control.nc.Publish(seenSubject, binary.BigEndian.AppendUint64(nil, last))
		}
		select {
		case <-time.After(seenPause):
		case <-g.end:
			return
		}
	}
}

// raise sets a number to seq, unless it is greater.
func raise(number *atomic.Uint64, seq uint64) (raised bool) {
	for {
		old := number.Load()
		if seq <= old {
			return false
		}
		if number.CompareAndSwap(old, seq) {
			return true
		}
	}
}
