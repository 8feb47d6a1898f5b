// Package runstream owns GET /v1/runs/{run}/stream: a run as it is, and then
// whatever changes until it has ended, as server-sent events or over a
// WebSocket.
//
// A stream is not a log of what happened but a view that is kept up to date: it
// is read again when something is said to have changed, and from time to time in
// any case, and what differs from what the client has is sent. So it guarantees
// that the client ends up with the run as the APIs show it, whichever process it
// is connected to, however often it reconnects and however far the history is
// behind; a client that is slow misses states in between and delays nobody. It
// must not be what anything that executes waits for, nor keep anything of runs
// that nobody watches.
package runstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
)

// Source is where the view of a run comes from.
type Source interface {
	// Run is the run as GET /v1/runs/{run} shows it, and whether it has ended.
	// It fails with history.ErrRunNotFound.
	Run(ctx context.Context, id ulid.ULID) (shown json.RawMessage, ended bool, err error)
	// Spans are the rows of the run's trace as far as the history has them.
	Spans(ctx context.Context, id ulid.ULID) ([]trace.Row, error)
}

// Timing of streams.
const (
	// pause is kept between two looks, however much happens.
	pause = 50 * time.Millisecond
	// patience is how long a stream waits without hearing of a change.
	patience = 2 * time.Second
	// grace is how long the end of a run is held back for its trace, which may
	// be behind.
	grace = 10 * time.Second

	heartbeat    = 15 * time.Second
	writeTimeout = 10 * time.Second
)

// maxStreams bounds the streams of a process.
const maxStreams = 1000

// Server answers requests for streams.
type Server struct {
	source Source
	hub    *Hub
	log    *slog.Logger
	grace  time.Duration
}

// New makes a Server that hears of changes from the hub. It ends its streams
// when the hub is closed.
func New(source Source, hub *Hub, log *slog.Logger) *Server {
	return &Server{source: source, hub: hub, log: log, grace: grace}
}

// ErrBusy is returned when there are too many streams, or the server ends.
var ErrBusy = errors.New("no more streams can be opened")

// Serve streams a run. It fails before anything was answered if the run cannot
// be shown: with ErrBusy, or what the source fails with.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, run ulid.ULID) error {
	watch, err := s.hub.watch(run)
	if err != nil {
		return err
	}
	defer watch.stop()
	v := &viewer{server: s, run: run}
	first, err := v.look(r.Context())
	if err != nil {
		return err
	}
	since := r.Header.Get("Last-Event-ID")
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if since == "" {
			since = r.URL.Query().Get("last_event_id") // browsers cannot set headers here
		}
		s.serveSocket(w, r, watch, v, v.resume(first, since))
		return nil
	}
	if since != "" && since == v.known.digest() && v.over {
		w.WriteHeader(http.StatusNoContent) // an EventSource then stops asking
		return nil
	}
	s.serveEvents(w, r, watch, v, v.resume(first, since))
	return nil
}

// sink is the connection of a client.
type sink interface {
	// send writes changes and, with none, a sign of life.
	send(changes []change) error
}

// follow sends what changes until the run has ended, the client is gone or ctx
// ends. It tells whether the run has ended.
func (v *viewer) follow(ctx context.Context, watch *watch, to sink, changes []change) (ended bool, err error) {
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		if len(changes) > 0 {
			if err := to.send(changes); err != nil {
				return false, err
			}
		}
		if v.over {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-alive.C:
			if err := to.send(nil); err != nil {
				return false, err
			}
		case <-watch.changed:
			if err := sleep(ctx, pause); err != nil {
				return false, err
			}
		case <-time.After(patience):
		}
		if changes, err = v.look(ctx); err != nil {
			// What was shown stays right until it can be read again.
			v.server.log.Debug("a watched run cannot be read", "run_id", v.run, "error", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// viewer is what one client sees of a run.
type viewer struct {
	server  *Server
	run     ulid.ULID
	known   view      // what the client has
	endedAt time.Time // when the run was first seen to have ended
	// over says that the client has seen the end: of the run and of its trace,
	// unless that is very late.
	over bool
}

// look reads the run, and returns what the client does not know yet.
func (v *viewer) look(ctx context.Context) ([]change, error) {
	shown, ended, err := v.server.source.Run(ctx, v.run)
	if err != nil {
		return nil, err
	}
	now := view{run: shown, ended: ended, spans: v.known.spans}
	rows, err := v.server.source.Spans(ctx, v.run)
	if err == nil {
		now.spans, now.traced = spansOf(rows)
	} else {
		v.server.log.Debug("the trace of a watched run cannot be read", "run_id", v.run, "error", err)
	}
	if ended && v.endedAt.IsZero() {
		v.endedAt = time.Now()
	}
	changes := v.known.changes(&now)
	v.known = now
	if v.over = ended && (now.traced || time.Since(v.endedAt) >= v.server.grace); v.over {
		changes = append(changes, change{Event: eventEnd, Data: now.run})
	}
	return identified(changes, now.digest()), nil
}

// resume leaves a snapshot out that the client has already.
func (v *viewer) resume(first []change, since string) []change {
	if since != "" && since == v.known.digest() {
		return nil
	}
	return first
}
