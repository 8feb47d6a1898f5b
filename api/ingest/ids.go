package ingest

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// idSource gives the internal ids of one request's events.
type idSource struct {
	seed   function.Seed
	seeded bool

	ms       uint64
	high     uint16
	low      uint64
	reserved bool
	now      time.Time
}

// newIDs takes the ids from the X-Inngest-Event-Id-Seed header where it is
// valid (sdk-protocol §4.6), else from clock and chance.
func newIDs(seedHeader string, now time.Time) *idSource {
	ids := &idSource{now: now}
	if seedHeader != "" {
		ids.seed, ids.seeded = function.ParseSeed(seedHeader)
	}
	return ids
}

// at is the id of the event at a 0-based index, below maxEvents.
func (s *idSource) at(index int) ulid.ULID {
	if s.seeded {
		return s.seed.EventID(index)
	}
	if !s.reserved {
		s.ms, s.high, s.low = blocks.reserve(s.now)
		s.reserved = true
	}
	return makeULID(s.ms, s.high, s.low+uint64(index))
}

// invocation is the id of the one event of POST /invoke.
func (s *idSource) invocation() ulid.ULID {
	if s.seeded {
		return s.seed.InvokeEventID()
	}
	return s.at(0)
}

// blocks hands out the random ids of this process.
var blocks blockSource

// blockSource hands out ids that grow from request to request, as lists are
// ordered by them: in one millisecond the entropy is drawn once and then
// counted up, by a whole block for each request. Chance is that of the
// runtime's generator, which needs neither a lock nor a system call.
type blockSource struct {
	mu   sync.Mutex
	ms   uint64
	high uint16
	low  uint64
}

// blockSize is how many ids a request may use.
const blockSize = 1 << 13

// maxStepBack is how far the clock may be set back with ids still growing.
const maxStepBack = 1000 // ms

func (b *blockSource) reserve(now time.Time) (ms uint64, high uint16, low uint64) {
	ms = ulid.Timestamp(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ms > b.ms || ms+maxStepBack < b.ms {
		b.ms = ms
		b.high = uint16(rand.Uint32())
		b.low = rand.Uint64() >> 1 // far from wrapping around
	} else {
		b.low += blockSize
	}
	return b.ms, b.high, b.low
}

func makeULID(ms uint64, high uint16, low uint64) ulid.ULID {
	var id ulid.ULID
	binary.BigEndian.PutUint64(id[:8], ms<<16|uint64(high))
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}
