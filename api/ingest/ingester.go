package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jetstep/bus"
)

// DefaultMaxBody is how many bytes a request may have. The original has no
// such bound; 5000 events of the largest size would not fit into memory.
const DefaultMaxBody = 64 << 20

// Publisher makes events durable.
type Publisher interface {
	// Publish returns nil when all events are durable. After an error some of
	// them may be. It does not keep the events.
	Publish(ctx context.Context, events []*bus.Event) error
}

// Config is what an Ingester needs.
type Config struct {
	Publisher Publisher
	Keys      Keys
	MaxBody   int64                 // bytes; default DefaultMaxBody
	Logger    *slog.Logger          // default: none
	Metrics   prometheus.Registerer // default: not registered
	Now       func() time.Time      // default: time.Now
}

// Ingester accepts events, whatever they came by.
type Ingester struct {
	cfg      Config
	log      *slog.Logger
	accepted prometheus.Counter
	bytes    prometheus.Counter
	refused  *prometheus.CounterVec
}

// New makes an Ingester. It fails if its metrics are registered already.
func New(cfg Config) (*Ingester, error) {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	in := &Ingester{cfg: cfg, log: cfg.Logger,
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jetstep_events_accepted_total",
			Help: "Events that were accepted from outside and are durable.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jetstep_event_bytes_total",
			Help: "Bytes of requests whose events were accepted.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jetstep_event_requests_refused_total",
			Help: "Requests with events that were not accepted as a whole, by HTTP status.",
		}, []string{"status"}),
	}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics != nil {
		for _, collector := range []prometheus.Collector{in.accepted, in.bytes, in.refused} {
			if err := cfg.Metrics.Register(collector); err != nil {
				return nil, fmt.Errorf("ingest metrics: %w", err)
			}
		}
	}
	return in, nil
}

// Request is one request with events.
type Request struct {
	Key         string // event key
	ContentType string // only matters for bodies that are no JSON
	Seed        string // X-Inngest-Event-Id-Seed
	Traceparent string // of W3C Trace Context, may be empty or junk
}

// Accept takes a body in and returns when every event of it that is valid is
// durable. Nothing of body is used afterwards.
func (in *Ingester) Accept(ctx context.Context, body []byte, req Request) Answer {
	if refused, ok := in.cfg.Keys.check(req.Key); !ok {
		return in.count(refused)
	}
	if int64(len(body)) > in.cfg.MaxBody {
		return in.count(in.tooLarge())
	}
	return in.accept(ctx, body, req)
}

// AcceptFrom is Accept for a body that has yet to be read; size is its length,
// -1 if that is unknown.
func (in *Ingester) AcceptFrom(ctx context.Context, body io.Reader, size int64, req Request) Answer {
	if refused, ok := in.cfg.Keys.check(req.Key); !ok {
		return in.count(refused)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer recycle(buffer)
	if size > 0 && size <= in.cfg.MaxBody {
		buffer.Grow(int(size) + bytes.MinRead)
	}
	read, err := buffer.ReadFrom(io.LimitReader(body, in.cfg.MaxBody+1))
	switch {
	case err != nil:
		return in.count(Answer{Status: http.StatusBadRequest, Error: "Unable to read request body"})
	case read > in.cfg.MaxBody:
		return in.count(in.tooLarge())
	}
	return in.accept(ctx, buffer.Bytes(), req)
}

func (in *Ingester) accept(ctx context.Context, body []byte, req Request) Answer {
	events, refused := Parse(body, req.ContentType, req.Seed, in.cfg.Now())
	linkTrace(events, req.Traceparent)
	switch err := in.publish(ctx, events); {
	case errors.Is(err, bus.ErrTooLarge):
		// Sending it again would not help; nothing of the request is stored.
		return in.count(Answer{Status: http.StatusBadRequest, Error: "Event is larger than the NATS of this server accepts"})
	case err != nil:
		return in.count(unavailable())
	}
	in.bytes.Add(float64(len(body)))
	answer := Answer{Status: http.StatusOK, IDs: internalIDs(events)}
	if refused != nil {
		answer.Status, answer.Error = http.StatusBadRequest, refused.Error()
	}
	return in.count(answer)
}

// publish makes the events durable and says in the log why if it cannot: the
// sender learns only that it is to try again.
func (in *Ingester) publish(ctx context.Context, events []*bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	// A sender that has gone does not take back what it sent.
	if err := in.cfg.Publisher.Publish(context.WithoutCancel(ctx), events); err != nil {
		in.log.Error("events could not be stored", "events", len(events), "error", err)
		return err
	}
	in.accepted.Add(float64(len(events)))
	return nil
}

func (in *Ingester) tooLarge() Answer {
	return Answer{Status: http.StatusBadRequest, Error: fmt.Sprintf("Request body is over the max size: Max %d bytes", in.cfg.MaxBody)}
}

// unavailable lists no ids, although some events may have been stored: it must
// not report as done what may be half done. With a seed, which all SDKs send,
// a repetition gets the same ids and starts nothing twice.
func unavailable() Answer {
	return Answer{Status: http.StatusServiceUnavailable, Error: "Events could not be stored, please try again"}
}

func (in *Ingester) count(a Answer) Answer {
	if a.Status != http.StatusOK {
		in.refused.WithLabelValues(fmt.Sprint(a.Status)).Inc()
	}
	return a
}

// buffers are for bodies. An event's slices point into one until the event is
// published, not longer.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps rare large bodies from occupying memory for good.
const maxPooled = 1 << 20

func recycle(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		b.Reset()
		buffers.Put(b)
	}
}
