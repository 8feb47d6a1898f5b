package runstream

import (
	"context"
	"net/http"
	"time"
)

// serveEvents streams as server-sent events.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, watch *watch, v *viewer, first []change) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // proxies must not hold events back
	w.WriteHeader(http.StatusOK)
	to := &eventSink{w: w, control: http.NewResponseController(w)}
	_ = to.control.SetReadDeadline(time.Time{}) // not every connection has one
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(watch.closing, cancel)()
	if len(first) == 0 {
		if err := to.send(nil); err != nil { // the headers
			return
		}
	}
	if _, err := v.follow(ctx, watch, to, first); err != nil {
		s.log.Debug("a stream of a run ended early", "run_id", v.run, "reason", err)
	}
}

// eventSink writes changes as server-sent events, and a comment as a sign of
// life.
type eventSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *eventSink) send(changes []change) error {
	var b []byte
	if len(changes) == 0 {
		b = append(b, ":\n\n"...)
	}
	for _, c := range changes {
		if c.ID != "" {
			b = append(append(append(b, "id: "...), c.ID...), '\n')
		}
		b = append(append(append(b, "event: "...), c.Event...), '\n')
		b = append(append(append(b, "data: "...), c.Data...), "\n\n"...)
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every connection has one
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}
