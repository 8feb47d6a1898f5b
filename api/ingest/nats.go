package ingest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"jetstep/bus"
)

// Subject takes events from NATS clients: a request's data is what POST
// /e/{key} takes as body, and the reply is its answer. The event key is the
// rest of the subject, jetstep.ingest.<key>, escaped as event names are in
// subjects (bus.EscapeSubject), or stands in HeaderKey. The header
// X-Inngest-Event-Id-Seed works as in HTTP, and so does Traceparent. All processes share the work.
const Subject = "jetstep.ingest"

// The headers of requests to Subject.
const (
	HeaderKey  = "Jetstep-Event-Key"
	HeaderSeed = "X-Inngest-Event-Id-Seed"
)

const (
	ingestQueue = "jetstep-ingest"
	// maxInFlight is how many requests wait for storage at once; more wait in
	// the subscription.
	maxInFlight = 256
)

// ServeNATS takes events from Subject until stop is called, which returns when
// all requests that had come are answered.
func (in *Ingester) ServeNATS(nc *nats.Conn) (stop func(), err error) {
	s := &subscriber{in: in, slots: make(chan struct{}, maxInFlight)}
	for _, subject := range []string{Subject, Subject + ".>"} {
		if err := s.subscribe(nc, subject); err != nil {
			s.stop()
			return nil, fmt.Errorf("take events from %s: %w", subject, err)
		}
	}
	// The server must know of the subscriptions before anyone is told of them.
	if err := nc.Flush(); err != nil {
		s.stop()
		return nil, fmt.Errorf("take events from %s: %w", Subject, err)
	}
	return s.stop, nil
}

// subscriber answers requests, many at a time.
type subscriber struct {
	in    *Ingester
	subs  []*nats.Subscription
	slots chan struct{}
	open  sync.WaitGroup // subscriptions
	tasks sync.WaitGroup // requests
}

func (s *subscriber) subscribe(nc *nats.Conn, subject string) error {
	sub, err := nc.QueueSubscribe(subject, ingestQueue, func(m *nats.Msg) {
		s.slots <- struct{}{}
		s.tasks.Go(func() {
			defer func() { <-s.slots }()
			s.answer(m)
		})
	})
	if err != nil {
		return err
	}
	s.open.Add(1)
	sub.SetClosedHandler(func(string) { s.open.Done() })
	s.subs = append(s.subs, sub)
	return nil
}

func (s *subscriber) answer(m *nats.Msg) {
	var answer Answer
	if key, err := eventKey(m); err != nil {
		answer = s.in.count(refuse(http.StatusUnauthorized, "Event key not found"))
	} else {
		answer = s.in.Accept(context.Background(), m.Data, Request{
			Key: key, Seed: m.Header.Get(HeaderSeed), Traceparent: m.Header.Get(HeaderTraceparent),
		})
	}
	if m.Reply == "" {
		return // the sender does not want to know
	}
	if err := m.Respond(answer.JSON()); err != nil {
		// The connection is gone: the sender hears nothing and asks again.
		s.in.log.Warn("an answer to events could not be sent", "subject", m.Subject, "error", err)
	}
}

// eventKey finds the key of a request.
func eventKey(m *nats.Msg) (string, error) {
	if escaped, ok := strings.CutPrefix(m.Subject, Subject+"."); ok {
		return bus.UnescapeSubject(escaped)
	}
	return m.Header.Get(HeaderKey), nil
}

func (s *subscriber) stop() {
	for _, sub := range s.subs {
		_ = sub.Drain() // fails only if the connection is closed: then it has ended
	}
	s.open.Wait()
	s.tasks.Wait()
}
