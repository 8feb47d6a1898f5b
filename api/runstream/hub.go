package runstream

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
)

// Broker carries messages between processes without storing them; see bus.Bus.
type Broker interface {
	PublishRealtime(subject string, message []byte) error
	SubscribeRealtime(subject string, deliver func(message []byte)) (stop func(), err error)
}

// Subjects of core NATS. A process that watches a run says so, and those in
// which something happens to the run tell it.
const (
	watchSubject   = "jetstep.live.watch"    // node and run
	changedSubject = "jetstep.live.changed." // and the run
)

const (
	announceEvery = 10 * time.Second
	interestLasts = 3 * announceEvery
	maxInterests  = 10_000 // runs that other processes watch
)

// Hub tells streams that something has happened to their runs. It may be told
// of every run: while nobody watches any, that costs a look at one number.
type Hub struct {
	broker Broker
	log    *slog.Logger
	node   ulid.ULID

	closing context.Context
	close   context.CancelFunc
	stop    func() // of the subscription to watchSubject

	watched atomic.Int64 // watches and interests: 0 when nothing is to be done

	mu        sync.Mutex
	streams   int
	watches   map[ulid.ULID]map[*watch]struct{}
	interests map[ulid.ULID]time.Time // until when
}

// watch is one stream's.
type watch struct {
	changed chan struct{}   // has a value when there may be something new
	closing context.Context // ends when streams are to end
	stop    func()
}

// NewHub makes a Hub, which needs to be closed. A broker that cannot be
// reached now makes other processes' changes come late, not never.
func NewHub(broker Broker, log *slog.Logger) *Hub {
	h := &Hub{
		broker: broker, log: log, node: ulid.Make(),
		watches: map[ulid.ULID]map[*watch]struct{}{}, interests: map[ulid.ULID]time.Time{},
	}
	h.closing, h.close = context.WithCancel(context.Background())
	var err error
	if h.stop, err = broker.SubscribeRealtime(watchSubject, h.interested); err != nil {
		log.Warn("other processes' streams of runs are not told of changes", "error", err)
		h.stop = func() {}
	}
	go h.tidy()
	return h
}

// Close ends all streams.
func (h *Hub) Close() {
	h.close()
	h.stop()
}

// Changed says that something has happened to runs. It does not block.
func (h *Hub) Changed(runs ...ulid.ULID) {
	if h.watched.Load() == 0 {
		return
	}
	for _, run := range runs {
		if h.wake(run) {
			_ = h.broker.PublishRealtime(changedSubject+run.String(), nil) // else it comes late
		}
	}
}

// wake wakes the streams of a run here, and tells whether there may be some
// elsewhere.
func (h *Hub) wake(run ulid.ULID) (elsewhere bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches[run] {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
	until, ok := h.interests[run]
	return ok && time.Now().Before(until)
}

// watch hears of changes to a run until stop is called. It fails with ErrBusy.
func (h *Hub) watch(run ulid.ULID) (*watch, error) {
	w := &watch{changed: make(chan struct{}, 1), closing: h.closing}
	h.mu.Lock()
	if h.streams >= maxStreams || h.closing.Err() != nil {
		h.mu.Unlock()
		return nil, ErrBusy
	}
	h.streams++
	h.watched.Add(1)
	if h.watches[run] == nil {
		h.watches[run] = map[*watch]struct{}{}
	}
	h.watches[run][w] = struct{}{}
	h.mu.Unlock()

	unsubscribe, err := h.broker.SubscribeRealtime(changedSubject+run.String(), func([]byte) { h.wake(run) })
	if err != nil {
		h.log.Debug("changes to a watched run elsewhere will come late", "run_id", run, "error", err)
		unsubscribe = func() {}
	}
	announcing, cancel := context.WithCancel(h.closing)
	go h.announce(announcing, run)
	w.stop = func() {
		cancel()
		unsubscribe()
		h.forget(run, w)
	}
	return w, nil
}

// Streams is how many there are in this process.
func (h *Hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams
}

func (h *Hub) forget(run ulid.ULID, w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
	h.watched.Add(-1)
	delete(h.watches[run], w)
	if len(h.watches[run]) == 0 {
		delete(h.watches, run)
	}
}

// announce tells other processes that the run is watched here, for as long as
// it is.
func (h *Hub) announce(ctx context.Context, run ulid.ULID) {
	ticker := time.NewTicker(announceEvery)
	defer ticker.Stop()
	message := append(h.node.Bytes(), run.Bytes()...)
	for {
		_ = h.broker.PublishRealtime(watchSubject, message) // else changes elsewhere come late
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// interested notes that another process watches a run.
func (h *Hub) interested(message []byte) {
	var node, run ulid.ULID
	if len(message) != len(node)+len(run) {
		return
	}
	copy(node[:], message)
	copy(run[:], message[len(node):])
	if node == h.node {
		return
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	_, known := h.interests[run]
	if !known && len(h.interests) >= maxInterests {
		h.expire(now)
		if len(h.interests) >= maxInterests {
			return
		}
	}
	if !known {
		h.watched.Add(1)
	}
	h.interests[run] = now.Add(interestLasts)
}

// tidy forgets interests from time to time, until the hub is closed.
func (h *Hub) tidy() {
	ticker := time.NewTicker(interestLasts)
	defer ticker.Stop()
	for {
		select {
		case <-h.closing.Done():
			return
		case now := <-ticker.C:
			h.mu.Lock()
			h.expire(now)
			h.mu.Unlock()
		}
	}
}

// expire forgets interests that were not renewed; mu is held.
func (h *Hub) expire(now time.Time) {
	for run, until := range h.interests {
		if !now.Before(until) {
			delete(h.interests, run)
			h.watched.Add(-1)
		}
	}
}
