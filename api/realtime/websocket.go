package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"jetstep/function"
)

// maxClientMessage bounds what a subscriber sends: a token, or topics.
const maxClientMessage = 256 << 10

// closeReason is why the server ends a WebSocket.
type closeReason struct {
	status websocket.StatusCode
	text   string
}

func (r *closeReason) Error() string { return r.text }

var (
	reasonClosing = &closeReason{websocket.StatusGoingAway, "server is shutting down"}
	reasonSlow    = &closeReason{websocket.StatusTryAgainLater, "subscriber is too slow, messages were lost"}
	reasonSilent  = &closeReason{websocket.StatusPolicyViolation, "no answer to pings"}
)

// Connect is GET /v1/realtime/connect: a WebSocket on which the subscriber
// receives the messages of its token's topics.
func (s *Server) Connect(w http.ResponseWriter, r *http.Request) {
	sub, end := s.subscribe(w, r, true)
	if sub == nil {
		return
	}
	defer end()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // any origin may connect: what counts is the token
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.log.Debug("no websocket", "error", err) // the client was told
		return
	}
	conn.SetReadLimit(maxClientMessage)
	err = s.serveSocket(conn, sub)
	s.disconnected(err)
	var reason *closeReason
	if !errors.As(err, &reason) {
		_ = conn.CloseNow() // the client is gone
		return
	}
	s.log.Debug("subscriber disconnected", "reason", reason.text)
	// A client that does not take part in closing is cut off.
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = conn.Close(reason.status, reason.text)
	}()
	select {
	case <-closed:
	case <-s.conns.cut.Done():
		_ = conn.CloseNow()
		<-closed
	}
}

// subscribe lets a subscriber with a token in and has it receive the token's
// topics. If it must not, the request is answered and sub is nil.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request, notify bool) (sub *subscriber, end func()) {
	acc := s.access(r)
	switch {
	case acc.claims == nil && !acc.keyed:
		refuseStranger(w)
		return nil, nil
	case acc.claims == nil:
		s.refuse(w, http.StatusUnauthorized, "Not authenticated")
		return nil, nil
	}
	sub = newSubscriber()
	done, err := s.conns.begin(sub, notify)
	if err != nil {
		s.refuse(w, http.StatusServiceUnavailable, "Server is shutting down")
		return nil, nil
	}
	leave := func() {
		s.hub.leave(sub)
		done()
	}
	switch err := s.hub.join(r.Context(), sub, acc.claims.Topics); {
	case err == nil:
		return sub, leave
	case errors.Is(err, errCrowded):
		s.refuse(w, http.StatusTooManyRequests, "Too many subscribers")
	case errors.Is(err, errTopics):
		s.refuse(w, http.StatusBadRequest, "Too many topics")
	default:
		s.log.Error("a subscriber could not be connected", "error", err)
		s.refuse(w, http.StatusServiceUnavailable, "Unable to subscribe")
	}
	leave()
	return nil, nil
}

// serveSocket returns why the connection is to end: a closeReason, or else
// that of the connection itself.
func (s *Server) serveSocket(conn *websocket.Conn, sub *subscriber) error {
	ctx, cancel := context.WithCancelCause(s.conns.cut)
	defer cancel(nil)
	// The end of a context that a read waits with breaks the connection, and
	// with it the chance to say why it ends.
	go func() { cancel(s.readSocket(s.conns.cut, conn, sub)) }()
	go func() { cancel(s.pingSocket(ctx, conn)) }()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.conns.closing:
			if err := s.writeSocket(ctx, conn, sub); err != nil {
				return err
			}
			return reasonClosing
		case <-sub.wake:
			if err := s.writeSocket(ctx, conn, sub); err != nil {
				return err
			}
		}
	}
}

// writeSocket writes all that waits.
func (s *Server) writeSocket(ctx context.Context, conn *websocket.Conn, sub *subscriber) error {
	frames, slow := sub.take()
	for _, f := range frames {
		kind := websocket.MessageText
		if f.raw && !utf8.Valid(f.body) {
			kind = websocket.MessageBinary // browsers refuse it as text
		}
		writing, cancel := context.WithTimeout(ctx, writeTimeout)
		err := conn.Write(writing, kind, f.body)
		cancel()
		if err != nil {
			return err
		}
	}
	if slow {
		return reasonSlow
	}
	return nil
}

// pingSocket pings until ctx ends or the client has not answered three times.
func (s *Server) pingSocket(ctx context.Context, conn *websocket.Conn) error {
	ticker := time.NewTicker(s.heartbeat)
	defer ticker.Stop()
	for failed := 0; failed < maxFailed; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		waiting, cancel := context.WithTimeout(ctx, s.heartbeat)
		err := conn.Ping(waiting)
		cancel()
		if err != nil {
			failed++
		} else {
			failed = 0
		}
	}
	return reasonSilent
}

// clientMessage is what subscribers send.
type clientMessage struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// readSocket handles what the client sends until the connection ends. Nothing
// is answered; what cannot be understood is ignored (http-api §11).
func (s *Server) readSocket(ctx context.Context, conn *websocket.Conn, sub *subscriber) error {
	for {
		_, body, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m clientMessage
		if err := json.Unmarshal(body, &m); err != nil {
			continue
		}
		switch m.Kind {
		case "sub":
			err = s.addTopics(ctx, sub, m.Data)
		case "unsub":
			err = s.removeTopics(sub, m.Data)
		}
		if err != nil {
			s.log.Debug("a subscriber's message was ignored", "kind", m.Kind, "error", err)
		}
	}
}

func (s *Server) addTopics(ctx context.Context, sub *subscriber, data json.RawMessage) error {
	var token string
	if err := json.Unmarshal(data, &token); err != nil {
		return err
	}
	claims, err := s.tokens.verify(token)
	if err != nil {
		return err
	}
	return s.hub.join(ctx, sub, claims.Topics)
}

func (s *Server) removeTopics(sub *subscriber, data json.RawMessage) error {
	var topics []Topic
	if err := json.Unmarshal(data, &topics); err != nil {
		return err
	}
	for _, t := range topics {
		if t.EnvID == function.EnvironmentID {
			s.hub.remove(sub, t)
		}
	}
	return nil
}
