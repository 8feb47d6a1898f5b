package v2

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"jetstep/api/command"
	"jetstep/api/ingest"
	"jetstep/history/view"
	"jetstep/jcs"
)

// eventBody is an event to send. What stands in its fields is looked at when it
// is accepted.
type eventBody struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
	User json.RawMessage `json:"user,omitempty"`
	ID   string          `json:"id,omitempty"`
	TS   json.RawMessage `json:"ts,omitempty"` // a number or, as 64-bit numbers may be, text
}

// maxEventName bounds the name of an event sent here, in bytes.
const maxEventName = 512

func (s *server) sendEvent(r *http.Request, _ []string) (*answer, error) {
	var body eventBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Name == "":
		return nil, refused("missing_field", "Event name is required")
	case len(body.Name) > maxEventName:
		return nil, invalid("Event name cannot exceed 512 characters")
	}
	if text := strings.Trim(string(body.TS), `"`); text != "" {
		body.TS = json.RawMessage(text)
	}
	event, err := jcs.Encode(body)
	if err != nil {
		return nil, refused("validation_error", "timestamp is not a number")
	}
	id, err := s.Commands.Send(r.Context(), event)
	if err != nil {
		return nil, eventProblem(err)
	}
	return single(object{"eventId": id.String()})
}

// eventProblem is why an event is refused, in the words of the API.
func eventProblem(err error) error {
	switch {
	case !errors.Is(err, ingest.ErrRefused):
		return err
	case errors.Is(err, ingest.ErrReserved):
		return invalid(err.Error())
	case errors.Is(err, ingest.ErrEventSize):
		return refused("validation_error", "Event payload cannot exceed 3145728 bytes")
	default:
		return refused("validation_error", err.Error())
	}
}

// resendEvent is POST /events/{eventId}/resend, which the original does not
// have.
func (s *server) resendEvent(r *http.Request, path []string) (*answer, error) {
	if err := readBody(r, &struct{}{}); err != nil {
		return nil, err
	}
	id, err := parseEventID(path[0])
	if err != nil {
		return nil, err
	}
	again, err := s.Commands.Resend(r.Context(), id)
	switch {
	case errors.Is(err, view.ErrNotFound):
		return nil, missing("Event not found")
	case errors.Is(err, command.ErrInternalEvent):
		return nil, refused("invalid_request", "Internal events cannot be sent again")
	case err != nil:
		return nil, eventProblem(err)
	}
	return single(object{"eventId": again.String()})
}
