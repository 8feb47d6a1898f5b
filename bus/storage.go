package bus

import (
	"errors"
	"fmt"
	"sync"
)

// ErrStorage is wrapped by errors of Publish and Append once the embedded
// server could not write a stream, because the disk is full for instance. The
// stream takes nothing more until the process starts anew.
var ErrStorage = errors.New("embedded nats cannot write")

// storage knows which streams of the embedded server have become read-only.
// Such a stream does not answer, so without this each call would wait in vain.
type storage struct {
	mu     sync.Mutex
	broken map[string]error
	first  error
}

func (s *storage) fail(stream string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = fmt.Errorf("%w stream %s until restarted: %w", ErrStorage, stream, err)
	if s.broken == nil {
		s.broken = map[string]error{}
		s.first = err
	}
	if s.broken[stream] == nil {
		s.broken[stream] = err
	}
}

// failed is why a stream takes no messages, nil when it does.
func (s *storage) failed(stream string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[stream]
}

// StorageError is not nil once a stream of the embedded server could not be
// written. Only a restart helps, after its cause is removed.
func (b *Bus) StorageError() error {
	b.storage.mu.Lock()
	defer b.storage.mu.Unlock()
	return b.storage.first
}

// streamFailed ends what waits for the stream's acknowledgements. It is called
// by the server with locks held, and does its work elsewhere.
func (b *Bus) streamFailed(stream string, err error) {
	b.storage.fail(stream, err)
	go func() {
		if p := b.publisher.Load(); p != nil && stream == eventsStream {
			p.failAll(b.storage.failed(stream))
		}
		for _, l := range b.openLogs.all() {
			if l.stream == stream {
				l.fail(fmt.Errorf("%w: %w", ErrLogUnknown, b.storage.failed(stream)))
			}
		}
	}()
}
