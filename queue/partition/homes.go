package partition

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// errElsewhere tells who asks about a run that it lives in another partition than
// its id names.
var errElsewhere = errors.New("run lives in another partition")

// homes are the runs that live in other partitions than their ids name, as far as
// this process serves the one or the other partition. Ids that were made here
// name the partition of their run; those of runs that were taken over (TakeOver) do
// not, and flow control needs a function's runs together.
//
// What is certain is in the logs: state.RunPlaced in the partition that the id
// names, which therefore passes on what reaches it, and the run itself.
type homes struct {
	count atomic.Int64 // of known; where nothing was taken over nobody locks
	mu    sync.RWMutex
	known map[ulid.ULID]int32
}

// of is the partition of a run that lives elsewhere than its id says.
func (h *homes) of(id ulid.ULID) (partition int, ok bool) {
	if h.count.Load() == 0 {
		return 0, false
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	p, ok := h.known[id]
	return int(p), ok
}

func (h *homes) set(id ulid.ULID, partition int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[ulid.ULID]int32{}
	}
	h.known[id] = int32(partition)
	h.count.Store(int64(len(h.known)))
}

func (h *homes) remove(id ulid.ULID) {
	if h.count.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, id)
	h.count.Store(int64(len(h.known)))
}

// keep forgets all others.
func (h *homes) keep(kept func(id ulid.ULID, partition int) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.known, func(id ulid.ULID, p int32) bool { return !kept(id, int(p)) })
	h.count.Store(int64(len(h.known)))
}

// followHomes keeps the homes in step with a fact.
func (o *Owner) followHomes(op state.Op) {
	switch op := op.(type) {
	case *state.RunPut:
		if o.node.namedBy(op.Run.ID) != o.id {
			o.node.homes.set(op.Run.ID, o.id)
		}
	case *state.RunPlaced:
		o.node.homes.set(op.RunID, op.Partition)
	case *state.RunForgotten:
		o.node.homes.remove(op.RunID)
	case *state.RunFinished:
		if o.node.namedBy(op.RunID) != o.id {
			o.node.homes.remove(op.RunID)
		}
	}
}

// home is the partition of a run whose id names this one and that lives elsewhere.
func (o *Owner) home(id ulid.ULID) (partition int, elsewhere bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.index.Placed(id)
}

// passOn sends a message that is for a run which lives elsewhere to where it does.
func (t *tx) passOn(m *state.Message) bool {
	switch m.Kind {
	case state.MessageResume, state.MessageCancel, state.MessageFail:
	default:
		return false
	}
	p, elsewhere := t.o.index.Placed(m.RunID)
	if elsewhere {
		t.send(p, *m)
	}
	return elsewhere
}
