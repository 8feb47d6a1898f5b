package realtime

import (
	"fmt"
	"net/http"
	"time"
)

// SSE is GET /v1/realtime/sse: the messages of the token's topics as
// server-sent events, for at most 15 minutes.
func (s *Server) SSE(w http.ResponseWriter, r *http.Request) {
	sub, end := s.subscribe(w, r, false)
	if sub == nil {
		return
	}
	defer end()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("Connection", "keep-alive")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", "Content-Type")
	w.WriteHeader(http.StatusOK)
	if err := s.serveEvents(eventWriter{w, http.NewResponseController(w)}, r, sub); err != nil {
		s.disconnected(err)
		s.log.Debug("subscriber disconnected", "reason", err)
	}
}

// serveEvents returns why the client can be written to no longer; nil if the
// server ends the stream.
func (s *Server) serveEvents(w eventWriter, r *http.Request, sub *subscriber) error {
	// The limit for reading a request is over with its headers.
	_ = w.control.SetReadDeadline(time.Time{}) // not every connection has one
	ticker := time.NewTicker(s.heartbeat)
	defer ticker.Stop()
	end := time.NewTimer(s.sseLifetime)
	defer end.Stop()
	if err := w.comment(""); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-s.conns.cut.Done():
			return nil
		case <-s.conns.closing:
			return writeEvents(w, sub)
		case <-end.C:
			return nil
		case <-ticker.C:
			err = w.comment("")
		case <-sub.wake:
			err = writeEvents(w, sub)
		}
		if err != nil {
			return err
		}
	}
}

// writeEvents writes all that waits.
func writeEvents(w eventWriter, sub *subscriber) error {
	frames, slow := sub.take()
	if len(frames) > 0 {
		if err := w.frames(frames); err != nil {
			return err
		}
	}
	if slow {
		_ = w.comment(reasonSlow.text) // if it still can be told
		return reasonSlow
	}
	return nil
}

// eventWriter writes server-sent events, and all at once: whoever waits for
// them wants them now.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e eventWriter) comment(text string) error {
	return e.write(func() error {
		_, err := fmt.Fprintf(e.w, ":%s\n\n", text)
		return err
	})
}

func (e eventWriter) frames(frames []frame) error {
	return e.write(func() error {
		for _, f := range frames {
			if err := e.frame(f); err != nil {
				return err
			}
		}
		return nil
	})
}

// frame writes a message as an event, and bytes of a tee as they are: they are
// events already (http-api §11).
func (e eventWriter) frame(f frame) error {
	parts := [][]byte{[]byte("data: "), f.body, []byte("\n\n")}
	if f.raw {
		parts = [][]byte{f.body}
	}
	for _, part := range parts {
		if _, err := e.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func (e eventWriter) write(write func() error) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every connection has one
	if err := write(); err != nil {
		return err
	}
	return e.control.Flush()
}
