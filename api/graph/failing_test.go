package graph_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/graph"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/history/view/viewtest"
)

var errDown = errors.New("database is down")

// failing is a read model whose database is down, or which panics.
type failing struct {
	*viewtest.Store
	panics bool
}

func (f failing) fail() error {
	if f.panics {
		panic("a bug")
	}
	return errDown
}

func (f failing) Apps(context.Context) ([]view.App, error) { return nil, f.fail() }
func (f failing) Event(context.Context, ulid.ULID) (view.Event, error) {
	return view.Event{}, f.fail()
}
func (f failing) Events(context.Context, view.EventFilter) ([]view.Event, error) {
	return nil, f.fail()
}
func (f failing) Run(context.Context, ulid.ULID) (view.Run, error)        { return view.Run{}, f.fail() }
func (f failing) Runs(context.Context, view.RunQuery) ([]view.Run, error) { return nil, f.fail() }
func (f failing) Spans(context.Context, ulid.ULID) ([]trace.Row, error)   { return nil, f.fail() }
func (f failing) Worker(context.Context, ulid.ULID) (view.Worker, error) {
	return view.Worker{}, f.fail()
}
func (f failing) DebugSpans(context.Context, string, string) ([]trace.Row, error) {
	return nil, f.fail()
}
func (f failing) Workers(context.Context, view.WorkerQuery) ([]view.Worker, error) {
	return nil, f.fail()
}

// TestDatabaseDown says so in the answer, with status 200 and without a panic.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	documents := []string{
		`{apps{id}}`, `{app(id:"` + fixtureApp + `"){id}}`, `{functions{id}}`, `{functionBySlug(query:{functionSlug:"x"}){id}}`,
		`{event(query:{eventId:"` + completedRun + `"}){id}}`, `{events(query:{}){id}}`, `{eventV2(id:"` + completedRun + `"){id}}`,
		`{eventsV2(first:1,filter:{from:"2026-11-25T23:00:00Z"}){totalCount}}`, `{stream(query:{}){id}}`,
		`{functionRun(query:{functionRunId:"` + completedRun + `"}){id}}`, `{run(runID:"` + completedRun + `"){id}}`,
		`{runs(orderBy:[],filter:{from:"2026-11-25T23:00:00Z"}){totalCount}}`, `{runTrace(runID:"` + completedRun + `"){name}}`,
		`{runTrigger(runID:"` + completedRun + `"){cron}}`, `{debugRun(query:{functionSlug:"x",debugRunID:"y"}){debugTraces{name}}}`,
		`{debugSession(query:{functionSlug:"x",debugSessionID:"y"}){debugRuns{status}}}`,
		`{workerConnection(connectionId:"` + completedRun + `"){id}}`, `{workerConnections(orderBy:[],filter:{}){totalCount}}`,
		`{runTraceSpanOutputByID(outputID:"` + trace.OutputRef{SpanID: "a", RunID: completedRun}.Encode() + `"){data}}`,
		`mutation{cancelRun(runID:"` + completedRun + `"){id}}`, `mutation{createApp(input:{url:"x"}){id}}`, `mutation{deleteAppByName(name:"x")}`,
	}
	for panics, want := range map[bool]string{false: "database is down", true: "internal system error"} {
		api := graph.New(graph.Config{Reader: failing{panics: panics}, Commands: &commands{}})
		for _, document := range documents {
			status, answer := post(t, api, document, nil)
			require.Equal(t, http.StatusOK, status, document)
			require.Contains(t, answer, want, document)
		}
	}
}

// TestDatabaseGoesDown has failures below an object that was read.
func TestDatabaseGoesDown(t *testing.T) {
	t.Parallel()
	store := viewtest.Load(t, root)
	api := graph.New(graph.Config{Reader: halfFailing{store}, Commands: &commands{}})
	for _, selection := range []string{`app{id}`, `function{id}`, `trace{name}`, `defers{fnSlug}`, `siblingDefers{fnSlug}`, `deferredFrom{runID}`} {
		status, answer := post(t, api, `{run(runID:"`+completedRun+`"){`+selection+`}}`, nil)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, answer, "database is down", selection)
	}
}

// halfFailing still knows its runs.
type halfFailing struct{ *viewtest.Store }

func (halfFailing) Functions(context.Context) ([]view.Function, error)    { return nil, errDown }
func (halfFailing) Spans(context.Context, ulid.ULID) ([]trace.Row, error) { return nil, errDown }
