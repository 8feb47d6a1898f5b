// Package bus owns everything that touches NATS: the embedded server or the
// connection to an external one, the streams and their subjects, publishing
// and consuming events, the fenced append-only log of each partition, the
// registry of apps, and partition leases.
//
// It guarantees that a call which returns without an error is durable in
// JetStream (acknowledged by the stream leader, on a quorum with replicas),
// that a log as Replay shows it has no holes and one writer at a time, that
// consumers see every message in stream order at least once, and that it never
// puts an empty stream in the place of one that is lost or someone else's. It
// must not know what a run is: payloads of logs are opaque here.
//
// Records of a log are to be read by Log.Replay only: the stream may also hold
// messages of stale writers, which are not part of the log (see lineage).
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

var errBusClosed = errors.New("bus was closed")

// Bus is one process's access to NATS.
type Bus struct {
	cfg    Config
	log    *slog.Logger
	server *embedded // nil with an external NATS

	// Connections are separate so that a burst of events does not queue in
	// front of log appends, nor deliveries in front of acknowledgements.
	events  *link // publishes events
	logs    *link // appends to logs
	control *link // API calls, consumers, key-value
	// realtime publishes and subscribes to what nobody stores.
	realtime *link

	partitions int
	maxPayload int       // of a message, bytes
	created    time.Time // when EVENTS was made

	// lastEvent is the highest sequence of EVENTS this process knows of.
	lastEvent atomic.Uint64
	gossip    atomic.Pointer[gossip] // nil when no other process can be there

	publisher atomic.Pointer[publisher]
	openLogs  openLogs
	storage   storage
	registry  *Registry
}

// Open starts the embedded server or connects to the external one, checks
// that it can do what is needed, declares the streams and loads the registry.
// It returns errors that name what was tried; nothing stays open on failure.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, log: cfg.Logger}
	if err := b.open(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bus) open(ctx context.Context) (err error) {
	if len(b.cfg.URLs) == 0 {
		log := &serverLog{log: b.log, onWriteError: b.streamFailed}
		if b.server, err = startServer(ctx, b.cfg, log); err != nil {
			return err
		}
	}
	if err := b.connect(); err != nil {
		return err
	}
	if err := b.probe(ctx); err != nil {
		return err
	}
	if err := b.declareStreams(ctx); err != nil {
		return err
	}
	p, err := newPublisher(b)
	if err != nil {
		return err
	}
	b.publisher.Store(p)
	if err := b.startGossip(); err != nil {
		return err
	}
	b.registry, err = openRegistry(ctx, b)
	return err
}

// connect opens the connections and sees to it that what is in flight on one
// ends when it breaks.
func (b *Bus) connect() (err error) {
	if b.control, err = b.dial(func(err error) { b.log.Debug("nats connection lost", "error", err) }); err != nil {
		return err
	}
	if b.realtime, err = b.dial(func(err error) { b.log.Debug("nats connection for realtime lost", "error", err) }); err != nil {
		return err
	}
	b.events, err = b.dial(func(err error) {
		if p := b.publisher.Load(); p != nil {
			p.failAll(fmt.Errorf("connection lost: %w", err))
		}
	})
	if err != nil {
		return err
	}
	// Appends must not wait in this process for a connection to come back: by
	// then the log may have another owner.
	b.logs, err = b.dial(func(err error) {
		for _, l := range b.openLogs.all() {
			l.disconnected(err)
		}
	}, nats.ReconnectBufSize(-1))
	return err
}

// Partitions is the number of partitions, fixed when the streams were made.
func (b *Bus) Partitions() int { return b.partitions }

// MaxPayload is the largest message NATS accepts here, in bytes.
func (b *Bus) MaxPayload() int { return b.maxPayload }

// eventRoom is kept free in a message for an event's other fields and headers.
const eventRoom = 16 << 10

// MaxEventData is how much data an event may have to be publishable, in bytes.
func (b *Bus) MaxEventData() int { return b.maxPayload - eventRoom }

// Registry holds the registered apps and functions.
func (b *Bus) Registry() *Registry { return b.registry }

// Conn is the connection for core NATS uses (ingest requests).
func (b *Bus) Conn() *nats.Conn { return b.control.nc }

// LastEvent is the highest EVENTS sequence this process has seen published or
// delivered, or heard of. Every event accepted here before the call is at or
// below it; one that another process has accepted is, some milliseconds later.
func (b *Bus) LastEvent() uint64 { return b.lastEvent.Load() }

// SawEvent notes that an event of that sequence was stored: whoever acts upon what
// another process says has to know what that one knew.
func (b *Bus) SawEvent(seq uint64) {
	if raise(&b.lastEvent, seq) {
		if g := b.gossip.Load(); g != nil {
			g.look()
		}
	}
}

// Location says in words where data is kept, for the start-up message.
func (b *Bus) Location() string {
	if b.server != nil {
		return "embedded JetStream in " + b.cfg.StoreDir
	}
	return fmt.Sprintf("JetStream at %s", b.control.nc.ConnectedUrlRedacted())
}

// ClientURL is where other NATS clients can connect to the embedded server,
// "" when it opened no port.
func (b *Bus) ClientURL() string {
	if b.server == nil || b.cfg.ListenPort == 0 {
		return ""
	}
	return b.server.ClientURL()
}

// Close stops the registry, closes the connections and shuts the embedded
// server down, which writes its streams out. Calls in flight end with errors.
func (b *Bus) Close() {
	if b.registry != nil {
		b.registry.stop()
	}
	if g := b.gossip.Swap(nil); g != nil {
		g.stop()
	}
	for _, l := range b.openLogs.all() {
		l.fail(fmt.Errorf("%w: %w", ErrLogUnknown, errBusClosed))
	}
	if p := b.publisher.Load(); p != nil {
		p.failAll(errBusClosed)
	}
	for _, l := range []*link{b.events, b.logs, b.control, b.realtime} {
		if l != nil {
			l.nc.Close()
		}
	}
	if b.server != nil {
		b.server.close()
	}
}
