package executor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// DefaultPatience is how long the app of a durable endpoint may report nothing
// of a run before it is called: somewhat more than the longest time that the
// usual platforms give to a request.
const DefaultPatience = 15 * time.Minute

// Beginner records runs that their apps have begun. Beginning one again is
// harmless.
type Beginner interface {
	Begin(ctx context.Context, b *state.Beginning) error
}

// The names of the event about a request: that of the protocol, and that which
// the Go SDK sends.
const (
	eventRequest   = "inngest/http.request"
	eventRequestGo = "http/run.started"
)

// EndpointStart is a run that an app has begun (sdk-protocol §19.1).
type EndpointStart struct {
	RunID       ulid.ULID
	Idempotency string // "" for none
	Event       EndpointEvent
	Retries     *int // nil if the SDK does not say
	Version     *int // request version, nil if the SDK does not say
	SDK         string
}

// EndpointEvent is the event about the request that began a run.
type EndpointEvent struct {
	ID   string // "" for one that is made up
	Name string
	TS   int64 // milliseconds since 1970; 0 for now
	V    string
	Data json.RawMessage
}

// Begin records a run that an app has begun, which from now on is never
// forgotten: it ends, or goes on by itself. Its error may be
// function.ErrEndpointRequest or the Beginner's.
func (e *Executor) Begin(ctx context.Context, s EndpointStart) error {
	request, err := function.ParseEndpointRequest(s.Event.Data)
	if err != nil {
		return err
	}
	b, err := beginning(&s, &request, time.Now(), e.Patience)
	if err != nil {
		return err
	}
	return e.Runs.Begin(ctx, b)
}

// beginning is the run that an app has begun, as it is recorded.
func beginning(s *EndpointStart, request *function.EndpointRequest, now time.Time, patience time.Duration) (*state.Beginning, error) {
	data, err := jcs.Canonicalize(s.Event.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", function.ErrEndpointRequest, err)
	}
	event := state.SentEvent{ID: s.Event.ID, Name: s.Event.Name, Data: data, TS: s.Event.TS, V: s.Event.V}
	event.InternalID = ulid.Make()
	if event.ID == "" {
		event.ID = event.InternalID.String()
	}
	if event.Name != eventRequestGo {
		event.Name = eventRequest
	}
	if event.TS == 0 {
		event.TS = now.UnixMilli()
	}
	input, err := inputOf(&event)
	if err != nil {
		return nil, err
	}
	fn := request.Function(function.EndpointRetries(s.Retries))
	began := min(int64(s.RunID.Time()), now.UnixMilli())
	run := state.Run{
		ID: s.RunID, FunctionID: fn.ID, FunctionVersion: fn.Version, Slug: fn.Slug,
		Events: []json.RawMessage{input}, EventIDs: []ulid.ULID{event.InternalID}, Trigger: event.Name, Size: len(input),
		QueuedAt: began, StartedAt: began, Version: state.Undecided,
		Endpoint: &state.Endpoint{AppID: request.AppID(), SDK: s.SDK, Attempts: fn.Retries() + 1},
	}
	if s.Version != nil {
		run.Version = max(*s.Version, 0)
	}
	run.Jobs = []state.Job{{
		ID: run.PatienceJob(), Kind: state.JobEdge, Due: now.Add(patience).UnixMilli(), MaxAttempts: run.Endpoint.Attempts,
	}}
	return &state.Beginning{Run: run, Event: event, Claim: s.Idempotency}, nil
}

// inputOf is an event as a run's input, canonical, with "user".
func inputOf(e *state.SentEvent) (json.RawMessage, error) {
	fields := map[string]any{"id": e.ID, "name": e.Name, "data": e.Data, "ts": e.TS, "user": struct{}{}}
	if e.V != "" {
		fields["v"] = e.V
	}
	text, err := jcs.Encode(fields)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", function.ErrEndpointRequest, err)
	}
	return jcs.Canonicalize(text)
}

// requestOf is the request that began a run.
func requestOf(run *state.Run) (r function.EndpointRequest, err error) {
	var event struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(run.Events[0], &event); err != nil {
		return r, fmt.Errorf("%w: %w", function.ErrEndpointRequest, err)
	}
	return function.ParseEndpointRequest(event.Data)
}

// executable is what a run is executed with. A durable endpoint needs no
// registration: all is in the run, and request is what began it, nil for other
// runs.
func (e *Executor) executable(run *state.Run) (fn *function.Function, app uuid.UUID, request *function.EndpointRequest, ok bool) {
	if run.Endpoint == nil {
		fn, app, ok = e.Functions.Executable(run.FunctionID)
		return fn, app, nil, ok
	}
	began, err := requestOf(run)
	if err != nil {
		return nil, app, nil, false
	}
	made := began.Function(run.Endpoint.Attempts - 1)
	return &made, run.Endpoint.AppID, &began, true
}

// reenter makes a call repeat the request that began its run.
func reenter(req *driver.Request, request *function.EndpointRequest, sdk string) {
	var err error
	if req.URL, err = request.URL(); err != nil {
		return // not one that was parsed
	}
	req.Reentry = &driver.Reentry{
		Method: request.Method, ContentType: request.ContentType, SDK: sdk, Body: bodyOf(request, sdk),
	}
}

// bodyOf is the body of a request. The TypeScript SDK tells it as text, the Go
// SDK in base64; of others it is taken for base64 if it can be.
func bodyOf(request *function.EndpointRequest, sdk string) []byte {
	if !strings.HasPrefix(sdk, "inngest-js:") {
		if raw, err := base64.StdEncoding.DecodeString(request.Body); err == nil {
			return raw
		}
	}
	return []byte(request.Body)
}

// complete ends a run with the result that an op carries.
func (d *decision) complete(op *driver.Opcode) {
	output := runOutput(op)
	var result driver.Result
	told := false // an endpoint may have been asked not to tell its response
	if d.run.Endpoint != nil {
		result, told = driver.ParseResult(output)
	}
	if !told {
		d.t.Finish = &state.Finish{Status: state.Completed, Output: canonical(output)}
		return
	}
	d.t.Finish = &state.Finish{Status: state.Completed, Output: result.JSON()}
	if failure := result.Err(); failure != nil {
		d.t.Finish.Status, d.t.Finish.Error = state.Failed, failure.JSON()
	}
}
