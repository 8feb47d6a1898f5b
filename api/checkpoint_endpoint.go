package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"
)

// Endpoints are runs that apps begin themselves, while they serve a request to
// a durable endpoint (sdk-protocol §19).
type Endpoints interface {
	// Begin records a run, and does nothing if it is there already. It fails
	// with ErrBadEndpoint or ErrRunExists.
	Begin(ctx context.Context, start EndpointStart) (Begun, error)
	// Report records what the app has done of the run. It fails with
	// ErrRunNotFound, or with ErrRefusedStep, ErrStepTooLarge or
	// ErrStateTooLarge when steps were dropped.
	Report(ctx context.Context, run ulid.ULID, steps []json.RawMessage) error
	// Result is how a run has ended. It fails with ErrRunLive while it has not,
	// and with ErrRunNotFound when that is not known, or not yet.
	Result(ctx context.Context, run ulid.ULID) (EndpointResult, error)
}

// The errors of Endpoints, beside those of Runs.
var (
	ErrBadEndpoint = errors.New("not a request to a durable endpoint")
	ErrRunExists   = errors.New("run already exists")
	ErrRunLive     = errors.New("run has not ended")
)

// EndpointStart is what an app says of a run that it begins.
type EndpointStart struct {
	RunID       ulid.ULID
	Idempotency string // "" for none
	EventID     string // of the event about the request; "" for any
	EventName   string
	EventTime   int64           // milliseconds since 1970; 0 for now
	EventV      string          // version; may be empty
	Data        json.RawMessage // of the event: the request
	Retries     *int            // nil if not given
	Version     *int            // request version; nil if not given
	SDK         string          // "inngest-js:v4.24.0", "go", or ""
}

// Begun are the ids of a run that an app began.
type Begun struct{ FunctionID, AppID uuid.UUID }

// EndpointResult is how a run has ended.
type EndpointResult struct {
	Output json.RawMessage // nil for none
	// Status is not 0 if Output is a response: the rest of it is here, too.
	Status  int
	Headers map[string]string
	Body    []byte
}

// maxEndpointStart is how large the body of a start may be, in bytes (http-api
// §12); a run's state is larger than what SDKs send of it at once.
const maxEndpointStart = 4 << 20

func badStart() *problem { return problemf(http.StatusBadRequest, "Invalid request body") }

// startEndpoint is POST /v1/checkpoint.
func (s *Server) startEndpoint(c echo.Context) error {
	body, err := readBody(c, maxEndpointStart)
	if err != nil {
		return err
	}
	start, steps, err := parseStart(body)
	if err != nil {
		return badStart()
	}
	start.SDK = sdkOf(c.Request())
	// What an app does is recorded even if it does not wait for the answer.
	ctx := context.WithoutCancel(c.Request().Context())
	begun, err := s.cfg.Endpoints.Begin(ctx, start)
	switch {
	case errors.Is(err, ErrBadEndpoint):
		return badStart()
	case errors.Is(err, ErrRunExists):
		return problemf(http.StatusConflict, "Run already exists")
	case err != nil:
		s.log.Error("a run could not be begun", "run_id", start.RunID, "error", err)
		return problemf(http.StatusInternalServerError, "Failed to schedule run")
	}
	if len(steps) > 0 {
		if err := s.reportTo(ctx, start.RunID, steps); err != nil {
			return err
		}
	}
	return s.answerStart(c, start.RunID, begun, len(steps) > 0)
}

func parseStart(body []byte) (start EndpointStart, steps []json.RawMessage, err error) {
	var sent struct {
		RunID       string `json:"run_id"`
		Idempotency string `json:"idempotency"`
		Event       struct {
			ID   string          `json:"id"`
			Name string          `json:"name"`
			TS   int64           `json:"ts"`
			V    string          `json:"v"`
			Data json.RawMessage `json:"data"`
		} `json:"event"`
		Steps   []json.RawMessage `json:"steps"`
		Version *int              `json:"request_version"`
		Retries *int              `json:"retries"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return start, nil, err
	}
	start = EndpointStart{
		Idempotency: sent.Idempotency, EventID: sent.Event.ID, EventName: sent.Event.Name, EventTime: sent.Event.TS,
		EventV: sent.Event.V, Data: sent.Event.Data, Retries: sent.Retries, Version: sent.Version,
	}
	if start.RunID, err = ulid.ParseStrict(sent.RunID); err == nil && start.RunID.IsZero() {
		err = errors.New("run_id is zero")
	}
	return start, sent.Steps, err
}

// sdkOf is which SDK a request is of. That of Go says so in no header but its
// HTTP client's.
func sdkOf(r *http.Request) string {
	if sdk := r.Header.Get("X-Inngest-Sdk"); sdk != "" {
		return sdk
	}
	if strings.HasPrefix(r.UserAgent(), "Go-http-client/") {
		return "go"
	}
	return ""
}

// answerStart tells an app the ids of the run that it began, and with which
// token its client gets the result, if the run may have to go on without it.
func (s *Server) answerStart(c echo.Context, run ulid.ULID, begun Begun, withToken bool) error {
	answer := struct {
		FunctionID    uuid.UUID `json:"fn_id"`
		AppID         uuid.UUID `json:"app_id"`
		RunID         ulid.ULID `json:"run_id"`
		Token         string    `json:"token,omitempty"`
		RealtimeToken string    `json:"realtime_token"`
	}{FunctionID: begun.FunctionID, AppID: begun.AppID, RunID: run}
	var err error
	if answer.RealtimeToken, err = s.cfg.Realtime.RunToken(run); err != nil {
		return err
	}
	if withToken {
		if answer.Token, err = s.tokens.mint(run); err != nil {
			return err
		}
	}
	return s.sendData(c, answer, notCached)
}

// reportSteps is POST /v1/checkpoint/{run}/steps. As in the original what is
// wrong with steps is only logged, since the app cannot do anything about it;
// what could not be recorded is an error, for the app to report it again.
func (s *Server) reportSteps(c echo.Context) error {
	req, err := readCheckpoint(c)
	if err != nil {
		return err
	}
	if len(req.Steps) > 0 {
		if err := s.reportTo(context.WithoutCancel(c.Request().Context()), req.RunID, req.Steps); err != nil {
			return err
		}
	}
	return emptyJSON(c)
}

func (s *Server) reportTo(ctx context.Context, run ulid.ULID, steps []json.RawMessage) error {
	err := s.cfg.Endpoints.Report(ctx, run, steps)
	switch {
	case err == nil:
	case errors.Is(err, ErrRunNotFound), errors.Is(err, ErrRefusedStep), errors.Is(err, ErrStepTooLarge), errors.Is(err, ErrStateTooLarge):
		s.log.Warn("reported steps were dropped", "run_id", run, "error", err)
	default:
		s.log.Error("reported steps could not be recorded", "run_id", run, "error", err)
		return problemf(http.StatusInternalServerError, "Internal error")
	}
	return nil
}
