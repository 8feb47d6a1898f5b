package runstream

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/coder/websocket"
)

// serveSocket streams over a WebSocket: each change is a text frame. Pages of
// other origins are refused, since a browser lets any page connect, with what
// it remembers of the user's keys.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, watch *watch, v *viewer, first []change) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.log.Debug("no websocket", "error", err) // the client was told
		return
	}
	ctx, cancel := context.WithCancel(conn.CloseRead(r.Context())) // nothing is expected from the client
	defer cancel()
	defer context.AfterFunc(watch.closing, cancel)()
	ended, err := v.follow(ctx, watch, &socketSink{conn, r.Context()}, first)
	switch {
	case ended:
		_ = conn.Close(websocket.StatusNormalClosure, "run has ended")
	case watch.closing.Err() != nil:
		_ = conn.Close(websocket.StatusGoingAway, "server is shutting down")
	default:
		s.log.Debug("a stream of a run ended early", "run_id", v.run, "reason", err)
		_ = conn.CloseNow()
	}
}

// socketSink writes changes as text frames, and pings as a sign of life. The
// end of a context that a write waits with breaks the connection, so it is the
// request's.
type socketSink struct {
	conn *websocket.Conn
	ctx  context.Context
}

func (s *socketSink) send(changes []change) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	if len(changes) == 0 {
		return s.conn.Ping(ctx)
	}
	for _, c := range changes {
		frame, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if err := s.conn.Write(ctx, websocket.MessageText, frame); err != nil {
			return err
		}
	}
	return nil
}
