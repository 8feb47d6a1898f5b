package executor

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// The captured start of sdk-protocol §19.1.
const (
	endpointData = `{"content_type":"","domain":"http://127.0.0.1:18101","ip":"","method":"GET","path":"/simple","query_params":"x=1","body":"","fn":""}`
	endpointSDK  = "inngest-js:v4.24.0"
)

var (
	endpointRun = ulid.MustParse("01M8ACXK11QPZC2XFEA38EZN7D")
	endpointFn  = uuid.MustParse("c93b3aec-66cc-5d8d-8308-60d660db71cd")
	endpointApp = uuid.MustParse("958ba392-69fa-5aa6-8e2a-498b003aa6e9")
)

// begun remembers the runs that apps begin.
type begun struct {
	list []*state.Beginning
	err  error
}

func (b *begun) Begin(_ context.Context, r *state.Beginning) error {
	b.list = append(b.list, r)
	return b.err
}

// endpointRig has a run that its app began, with three retries.
func endpointRig(t *testing.T, call func(context.Context, *driver.Request) (*driver.Response, error)) *rig {
	t.Helper()
	r := newRig(call)
	r.Runs = &begun{}
	three := 3
	require.NoError(t, r.Begin(t.Context(), EndpointStart{
		RunID: endpointRun, SDK: endpointSDK, Retries: &three, Event: EndpointEvent{Name: "inngest/http.request", Data: raw(endpointData)},
	}))
	r.store.run = &r.Runs.(*begun).list[0].Run
	return r
}

func TestBegin(t *testing.T) {
	t.Parallel()
	runs := &begun{}
	r := newRig(nil)
	r.Runs = runs
	three, version := 3, 2
	before := time.Now()
	require.NoError(t, r.Begin(t.Context(), EndpointStart{
		RunID: endpointRun, Idempotency: "key", SDK: endpointSDK, Retries: &three, Version: &version,
		Event: EndpointEvent{Name: "anything", Data: raw(endpointData)},
	}))
	b := runs.list[0]
	require.Equal(t, "key", b.Claim)
	require.Equal(t, "inngest/http.request", b.Event.Name, "no app publishes other internal events")
	require.Equal(t, b.Event.InternalID.String(), b.Event.ID)
	require.JSONEq(t, endpointData, string(b.Event.Data))

	run := b.Run
	require.Equal(t, endpointRun, run.ID)
	require.Equal(t, endpointFn, run.FunctionID)
	require.Equal(t, "GET /simple", run.Slug)
	require.Equal(t, 2, run.Version)
	require.Equal(t, []ulid.ULID{b.Event.InternalID}, run.EventIDs)
	require.Equal(t, &state.Endpoint{AppID: endpointApp, SDK: endpointSDK, Attempts: 4}, run.Endpoint)
	require.True(t, run.Sync())
	require.LessOrEqual(t, run.StartedAt, time.Now().UnixMilli())
	require.Equal(t, run.QueuedAt, run.StartedAt)
	var input struct {
		Name string
		User map[string]any
		Data map[string]any
	}
	require.NoError(t, json.Unmarshal(run.Events[0], &input))
	require.NotNil(t, input.User)
	require.Equal(t, "/simple", input.Data["path"])
	require.Equal(t, len(run.Events[0]), run.Size)

	require.Len(t, run.Jobs, 1)
	require.Equal(t, run.PatienceJob(), run.Jobs[0].ID)
	require.GreaterOrEqual(t, run.Jobs[0].Due, before.Add(DefaultPatience).UnixMilli())
}

func TestBeginAsTheGoSDK(t *testing.T) {
	t.Parallel()
	runs := &begun{err: errors.New("down")}
	r := newRig(nil)
	r.Runs = runs
	err := r.Begin(t.Context(), EndpointStart{
		RunID: endpointRun, SDK: "go", Event: EndpointEvent{ID: "mine", TS: 7, V: "1", Name: "http/run.started", Data: raw(endpointData)},
	})
	require.ErrorIs(t, err, runs.err)
	b := runs.list[0]
	require.Equal(t, state.SentEvent{InternalID: b.Event.InternalID, ID: "mine", Name: "http/run.started", TS: 7, V: "1", Data: b.Event.Data}, b.Event)
	require.Contains(t, string(b.Run.Events[0]), `"v":"1"`)
	require.Equal(t, state.Undecided, b.Run.Version)
	require.Equal(t, 1, b.Run.Endpoint.Attempts, "no retries if it does not say")

	require.ErrorIs(t, r.Begin(t.Context(), EndpointStart{RunID: endpointRun, Event: EndpointEvent{Data: raw(`{"domain":"x"}`)}}), function.ErrEndpointRequest)
	require.ErrorIs(t, r.Begin(t.Context(), EndpointStart{RunID: endpointRun, Event: EndpointEvent{Data: raw(`{"domain":"http://h","method":"GET","n":1e999}`)}}), function.ErrEndpointRequest)
}

// The call of a durable endpoint repeats the request that began the run.
func TestReentry(t *testing.T) {
	t.Parallel()
	var got *driver.Request
	r := endpointRig(t, func(_ context.Context, req *driver.Request) (*driver.Response, error) {
		got = req
		return ops(2, withData(driver.OpRunComplete, completeID, `{"status":200,"headers":{"content-type":"application/json"},"body":"null","version":2}`)), nil
	})
	job := r.store.run.Jobs[0]
	job.Step = stepP1
	done, err := r.call(t.Context(), r.store.run, job, time.Now())
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:18101/simple?x=1", got.URL)
	require.Equal(t, &driver.Reentry{Method: "GET", Body: []byte{}, SDK: endpointSDK}, got.Reentry)
	require.Equal(t, endpointApp, got.AppID)
	require.Equal(t, 4, got.MaxAttempts)
	require.Equal(t, stepP1, got.StepID)
	require.Equal(t, &state.Finish{Status: state.Completed, Output: raw(`{"body":"null","duration":0,"headers":{"content-type":"application/json"},"status":200}`)}, done.Finish)

	broken := *r.store.run
	broken.Events = []json.RawMessage{raw(`[]`)}
	failed, err := r.call(t.Context(), &broken, job, time.Now())
	require.NoError(t, err)
	require.Equal(t, state.Failed, failed.Finish.Status, "what cannot be called does not wait for ever")
}

func TestBodiesOfRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sdk, body, want string }{
		"text of the TypeScript SDK": {endpointSDK, "dGV4dA==", "dGV4dA=="},
		"base64 of the Go SDK":       {"go", "dGV4dA==", "text"},
		"base64 of anybody":          {"", "dGV4dA==", "text"},
		"text of anybody":            {"", `{"hi":1}`, `{"hi":1}`},
	} {
		require.Equal(t, c.want, string(bodyOf(&function.EndpointRequest{Body: c.body}, c.sdk)), name)
	}
}
