package realtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/jcs"
)

// maxMessage is the largest body of a message. The original cuts longer ones,
// which makes text of what was JSON.
const maxMessage = 512 << 10

// target is where a request publishes to.
type target struct {
	topics   []Topic // of one channel, at least one
	metadata json.RawMessage
	runID    *ulid.ULID
}

// Publish is POST /v1/realtime/publish: the body is sent to a topic, as one
// message or, with Content-Type text/stream, in chunks as it arrives.
func (s *Server) Publish(w http.ResponseWriter, r *http.Request) {
	if !s.mayPublish(w, r, s.refuse) {
		return
	}
	to, err := parseTarget(r)
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "text/stream" {
		err = s.publishStream(w, r, to)
	} else {
		err = s.publishBody(w, r, to)
	}
	if err != nil {
		s.refusePublish(w, err)
	}
}

// mayPublish tells whether the request may publish. If not, it is answered, by
// refuse where it is known who asks.
func (s *Server) mayPublish(w http.ResponseWriter, r *http.Request, refuse func(w http.ResponseWriter, status int, text string)) bool {
	switch acc := s.access(r); {
	case acc.claims != nil && !acc.claims.Publish:
		refuse(w, http.StatusUnauthorized, "Not authenticated for publishing")
		return false
	case acc.claims == nil && !acc.keyed:
		refuseStranger(w)
		return false
	}
	return true
}

func (s *Server) refusePublish(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("Message cannot exceed %d bytes", tooLarge.Limit))
	case errors.Is(err, bus.ErrTooLarge):
		s.refuse(w, http.StatusRequestEntityTooLarge, "Message is too large")
	case errors.Is(err, errUnreadable):
		s.refuse(w, http.StatusBadRequest, "Unable to read request body")
	default:
		s.log.Error("a realtime message was not published", "error", err)
		s.refuse(w, http.StatusServiceUnavailable, "Unable to publish message")
	}
}

// parseTarget reads the query. Errors are meant for the client.
func parseTarget(r *http.Request) (target, error) {
	query := r.URL.Query()
	var to target
	channel, topics := query.Get("channel"), query["topic"]
	switch {
	case channel == "":
		return to, errors.New("channel query parameter required")
	case len(topics) == 0 || topics[0] == "":
		return to, errors.New("topic query parameter required")
	case len(topics) > maxTopics:
		return to, fmt.Errorf("more than %d topics", maxTopics)
	}
	for _, name := range topics {
		t := runTopic(channel, name)
		if err := t.validate(); err != nil {
			return to, err
		}
		to.topics = append(to.topics, t)
	}
	if text := query.Get("run_id"); text != "" {
		id, err := ulid.ParseStrict(text)
		if err != nil {
			return to, errors.New("run_id query parameter is not a ULID")
		}
		to.runID = &id
	}
	if text := query.Get("metadata"); text != "" {
		if !json.Valid([]byte(text)) {
			return to, errors.New("metadata query parameter is not JSON")
		}
		to.metadata = json.RawMessage(text)
	}
	return to, nil
}

func runTopic(channel, name string) Topic {
	return Topic{Kind: topicRun, EnvID: function.EnvironmentID, Channel: channel, Name: name}
}

func (s *Server) publishBody(w http.ResponseWriter, r *http.Request, to target) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		return unreadable(err)
	}
	data, err := jsonOrText(body)
	if err != nil {
		return err
	}
	return s.send(to, kindData, data)
}

// errUnreadable marks errors of the client's connection.
var errUnreadable = errors.New("request body cannot be read")

func unreadable(err error) error { return fmt.Errorf("%w: %w", errUnreadable, err) }

// PublishResponse sends what a request made for a step of a run got back to a
// topic, as one message (sdk-protocol §12.9). body is JSON.
func (s *Server) PublishResponse(run ulid.ULID, channel, topic string, body json.RawMessage) error {
	t := runTopic(channel, topic)
	if err := t.validate(); err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", bus.ErrTooLarge, len(body), maxMessage)
	}
	return s.send(target{topics: []Topic{t}, runID: &run}, kindData, body)
}

// send publishes a message to each topic of the target.
func (s *Server) send(to target, kind string, data json.RawMessage) error {
	return s.sendEach(to, func(t Topic) any {
		return message{
			Kind: kind, Data: data, Metadata: to.metadata, CreatedAt: s.cfg.Now().UTC(),
			Channel: t.Channel, EnvID: &t.EnvID, Topic: t.Name, RunID: to.runID,
		}
	})
}

// sendEach publishes what each topic of the target gets, as JSON.
func (s *Server) sendEach(to target, what func(Topic) any) error {
	for _, t := range to.topics {
		body, err := jcs.Encode(what(t))
		if err != nil {
			return err
		}
		if err := s.cfg.Broker.PublishRealtime(t.subject(), body); err != nil {
			return err
		}
		s.counts.published.Add(1)
	}
	return nil
}
