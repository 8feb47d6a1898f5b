package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/api/graph"
	"jetstep/history/view"
	"jetstep/history/view/viewtest"
)

const (
	fixtureApp   = "1ab94682-28f9-509b-8002-4ca7eb068275"
	completedRun = "01M8AFXHGK076EHXZT178AT9G7"
	cancelledRun = "01M8AFYXWG3ZV2X8S6Y7WKM5JK"
	failedRun    = "01M8AFXH2TTMTB471120WCPH09"
)

func TestAppMutations(t *testing.T) {
	t.Parallel()
	told := &commands{app: uuid.MustParse(fixtureApp)}
	api, store := newLaggingAPI(t, told)

	_, answer := post(t, api, `mutation{createApp(input:{url:"localhost:3000"}){id name connected sdkFeatureReadiness{aiMetadataExtraction{ready reason} extendedTraces{ready reason}}}}`, nil)
	require.JSONEq(t, `{"data":{"createApp":{"id":"`+fixtureApp+`","name":"fixture-app","connected":true,"sdkFeatureReadiness":{"aiMetadataExtraction":{"ready":false,"reason":3},"extendedTraces":{"ready":false,"reason":2}}}}}`, answer)
	require.Equal(t, "localhost:3000", told.url)

	told.changed = func(id uuid.UUID, url string) { store.change(id, func(app *view.App) { app.URL = url }) }
	_, answer = post(t, api, `mutation{updateApp(input:{id:"`+fixtureApp+`",url:"http://new"}){id url}}`, nil)
	require.JSONEq(t, `{"data":{"updateApp":{"id":"`+fixtureApp+`","url":"http://new"}}}`, answer)
	require.Equal(t, "http://new", told.url)

	_, answer = post(t, api, `mutation{deleteApp(id:"`+fixtureApp+`") a:deleteAppByName(name:"fixture-worker") b:deleteAppByName(name:"nope")}`, nil)
	require.JSONEq(t, `{"data":{"deleteApp":"`+fixtureApp+`","a":true,"b":false}}`, answer)
	require.Equal(t, []uuid.UUID{uuid.MustParse(fixtureApp), uuid.MustParse("24f12545-e3b6-5b8b-9b74-c51e15f14310")}, told.deleted)

	told.err = errors.New("unreachable")
	_, answer = post(t, api, `mutation{createApp(input:{url:"x"}){id}}`, nil)
	require.JSONEq(t, `{"errors":[{"message":"unreachable","path":["createApp"]}],"data":null}`, answer)
	for _, document := range []string{
		`mutation{updateApp(input:{id:"` + fixtureApp + `",url:"x"}){id}}`, `mutation{updateApp(input:{id:"bad",url:"x"}){id}}`,
		`mutation{deleteApp(id:"bad")}`, `mutation{deleteApp(id:"` + fixtureApp + `")}`,
	} {
		status, answer := post(t, api, document, nil)
		require.Equal(t, 200, status)
		require.Contains(t, answer, `"errors"`)
	}
}

func TestInvokeFunction(t *testing.T) {
	t.Parallel()
	told := &commands{}
	api, _ := newAPI(t, told)
	session := ulid.MustParse(completedRun)
	_, answer := post(t, api, `mutation($s:ULID){invokeFunction(functionSlug:"any",data:{n:1},user:{id:"u"},meta:{sessions:["a"]},debugSessionID:$s)}`, map[string]any{"s": session})
	require.JSONEq(t, `{"data":{"invokeFunction":true}}`, answer)
	require.Equal(t, command.Invocation{
		Slug: "any", Data: []byte(`{"n":1}`), User: []byte(`{"id":"u"}`), Sessions: []byte(`["a"]`), Debug: command.Debug{Session: &session},
	}, told.call)

	_, answer = post(t, api, `mutation{invokeFunction(functionSlug:"any",meta:{x:1})}`, nil)
	require.JSONEq(t, `{"errors":[{"message":"event meta \"x\" is not supported","path":["invokeFunction"]}],"data":{"invokeFunction":null}}`, answer)

	told.err = errors.New("stream is down")
	_, answer = post(t, api, `mutation{invokeFunction(functionSlug:"any")}`, nil)
	require.Contains(t, answer, "stream is down")
}

func TestCancelRun(t *testing.T) {
	t.Parallel()
	told := &commands{}
	api, store := newAPI(t, told)
	cancel := func(run string) string {
		_, answer := post(t, api, `mutation{cancelRun(runID:"`+run+`"){id status output finishedAt}}`, nil)
		return answer
	}
	require.JSONEq(t, `{"errors":[{"message":"cannot cancel an ended run","path":["cancelRun"]}],"data":null}`, cancel(completedRun))
	require.JSONEq(t, `{"data":{"cancelRun":{"id":"`+cancelledRun+`","status":"CANCELLED","output":"{}","finishedAt":"2026-11-25T23:17:27.124Z"}}}`, cancel(cancelledRun), "again is fine")
	told.err = view.ErrNotFound
	require.Contains(t, cancel(fixtureAppULID), "sql: no rows in result set")
	told.err = nil

	set := func(id ulid.ULID, status view.Status) {
		for i := range store.RunRows {
			if store.RunRows[i].ID == id {
				store.RunRows[i].Status = status
			}
		}
	}
	running := ulid.MustParse(failedRun)
	set(running, view.Running)
	told.cancel = func(id ulid.ULID) { set(id, view.Cancelled) }
	require.Contains(t, cancel(failedRun), `"status":"CANCELLED"`)

	set(running, view.Running)
	set(running, view.Running)
	told.cancel, told.err = func(id ulid.ULID) { set(id, view.Completed) }, fmt.Errorf("cancel: %w", command.ErrEnded)
	require.JSONEq(t, `{"errors":[{"message":"cannot cancel an ended run","path":["cancelRun"]}],"data":null}`, cancel(failedRun), "it ended meanwhile")

	set(running, view.Running)
	told.cancel = nil
	told.err = errors.New("no owner")
	require.JSONEq(t, `{"errors":[{"message":"no owner","path":["cancelRun"]}],"data":null}`, cancel(failedRun))
}

const fixtureAppULID = "01M8AFNA89V4FR54NKFFTV1PNK" // of no run

func TestRerun(t *testing.T) {
	t.Parallel()
	told := &commands{}
	api, _ := newAPI(t, told)
	_, answer := post(t, api, `mutation{rerun(runID:"`+completedRun+`",fromStep:{stepID:"first",input:"[1]"})}`, nil)
	require.JSONEq(t, `{"data":{"rerun":"01M8AG737TEFVHWD5J2H43JKJE"}}`, answer)
	require.Equal(t, command.Rerun{Run: ulid.MustParse(completedRun), Step: "first", Input: []byte("[1]")}, told.rerun)

	_, answer = post(t, api, `mutation{rerun(runID:"`+completedRun+`")}`, nil)
	require.NotContains(t, answer, "errors")
	require.Equal(t, command.Rerun{Run: ulid.MustParse(completedRun)}, told.rerun)

	for _, input := range []string{"", "{}", "[1"} {
		_, answer = post(t, api, `mutation($i:Bytes){rerun(runID:"`+completedRun+`",fromStep:{stepID:"first",input:$i})}`, map[string]string{"i": input})
		require.JSONEq(t, `{"errors":[{"message":"input is not a valid JSON array","path":["rerun"]}],"data":null}`, answer)
	}
	for message, err := range map[string]error{
		"error reconstructing input state: rerun step not found":         fmt.Errorf("rerun: %w", command.ErrNoSuchStep),
		"error reconstructing input state: rerun step name is ambiguous": fmt.Errorf("rerun: %w", command.ErrAmbiguousStep),
		"sql: no rows in result set":                                     fmt.Errorf("rerun: %w", view.ErrNotFound),
		"no owner":                                                       errors.New("no owner"),
	} {
		told.err = err
		_, answer = post(t, api, `mutation{rerun(runID:"`+completedRun+`",fromStep:{stepID:"x"})}`, nil)
		require.JSONEq(t, `{"errors":[{"message":"`+message+`","path":["rerun"]}],"data":null}`, answer)
	}
}

// lagging is a history in which a change of an app shows with the second look.
type lagging struct {
	*viewtest.Store
	mu      sync.Mutex
	pending func()
}

func newLaggingAPI(t *testing.T, commands graph.Commands) (http.Handler, *lagging) {
	history := &lagging{Store: viewtest.Load(t, root)}
	return graph.New(graph.Config{Reader: history, Commands: commands}), history
}

func (l *lagging) change(id uuid.UUID, change func(*view.App)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = func() {
		l.AppRows = slices.Clone(l.AppRows)
		i := slices.IndexFunc(l.AppRows, func(app view.App) bool { return app.ID == id })
		change(&l.AppRows[i])
	}
}

// Apps shows what was changed before it was last called.
func (l *lagging) Apps(context.Context) ([]view.App, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown := l.AppRows
	if l.pending != nil {
		l.pending()
		l.pending = nil
	}
	return shown, nil
}
