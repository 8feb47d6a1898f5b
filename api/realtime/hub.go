package realtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

const (
	maxSubscribers = 5000 // of a topic in this process (http-api §11)

	// A subscriber that has this much waiting is too slow. The largest message
	// fits in at any time.
	maxWaitingFrames = 1024
	maxWaitingBytes  = 4 << 20
)

var (
	errCrowded = errors.New("too many subscribers of the topic")
	errTopics  = fmt.Errorf("more than %d topics", maxTopics)
)

// hub hands messages to subscribers. All subscribers of a topic share one
// subscription of NATS.
type hub struct {
	broker Broker

	mu    sync.Mutex
	feeds map[string]*feed // by subject
}

// feed is a topic with subscribers.
type feed struct {
	stop func()

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
}

func newHub(broker Broker) *hub { return &hub{broker: broker, feeds: map[string]*feed{}} }

// join subscribes to topics, and returns when messages that are published from
// then on will be received. After an error some topics may be subscribed to.
func (h *hub) join(ctx context.Context, sub *subscriber, topics []Topic) error {
	for _, t := range topics {
		if err := h.add(sub, t.subject()); err != nil {
			return err
		}
	}
	return h.broker.FlushRealtime(ctx)
}

func (h *hub) add(sub *subscriber, subject string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch _, has := sub.feeds[subject]; {
	case has || sub.left:
		return nil
	case len(sub.feeds) == maxTopics:
		return errTopics
	}
	f := h.feeds[subject]
	if f == nil {
		f = &feed{subscribers: map[*subscriber]struct{}{}}
		var err error
		if f.stop, err = h.broker.SubscribeRealtime(subject, f.deliver); err != nil {
			return err
		}
		h.feeds[subject] = f
	}
	if !f.add(sub) {
		return errCrowded
	}
	sub.feeds[subject] = f
	return nil
}

// remove ends the subscription to one topic, if there is one.
func (h *hub) remove(sub *subscriber, t Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(sub, t.subject())
}

// leave ends all subscriptions; there can be no new ones.
func (h *hub) leave(sub *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub.left = true
	for subject := range sub.feeds {
		h.drop(sub, subject)
	}
}

func (h *hub) drop(sub *subscriber, subject string) {
	f := sub.feeds[subject]
	if f == nil {
		return
	}
	delete(sub.feeds, subject)
	if f.remove(sub) {
		delete(h.feeds, subject)
		f.stop()
	}
}

// add tells whether there was room.
func (f *feed) add(sub *subscriber) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subscribers) >= maxSubscribers {
		return false
	}
	f.subscribers[sub] = struct{}{}
	return true
}

// remove tells whether that was the last one.
func (f *feed) remove(sub *subscriber) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subscribers, sub)
	return len(f.subscribers) == 0
}

func (f *feed) deliver(payload []byte) {
	fr := toFrame(payload)
	f.mu.Lock()
	defer f.mu.Unlock()
	for sub := range f.subscribers {
		sub.push(fr)
	}
}

// subscriber is one connection's line of messages that wait to be written.
type subscriber struct {
	// Of the hub, under its lock.
	feeds map[string]*feed
	left  bool

	wake chan struct{} // has a value when there may be something to take

	mu     sync.Mutex
	frames []frame
	bytes  int
	slow   bool // messages were dropped: the connection is to be closed
}

func newSubscriber() *subscriber {
	return &subscriber{feeds: map[string]*feed{}, wake: make(chan struct{}, 1)}
}

// push never blocks.
func (s *subscriber) push(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slow {
		return
	}
	if len(s.frames) == maxWaitingFrames || s.bytes+len(f.body) > maxWaitingBytes && len(s.frames) > 0 {
		s.slow, s.frames, s.bytes = true, nil, 0
	} else {
		s.frames = append(s.frames, f)
		s.bytes += len(f.body)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns what waits, and whether the subscriber was too slow, after
// which nothing comes any more.
func (s *subscriber) take() (frames []frame, slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, s.frames, s.bytes = s.frames, nil, 0
	return frames, s.slow
}
