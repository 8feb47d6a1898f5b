package graph_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/view/viewtest"
)

const childRun = cancelledRun // stands for a run that completedRun deferred

func addSpan(store *viewtest.Store, run, name, id, parent, attributes string) {
	var like trace.Row
	for _, row := range store.SpanRows {
		if row.RunID == run && row.Name == trace.NameRun {
			like = row
		}
	}
	like.Name, like.SpanID, like.ParentID, like.Input = name, id, parent, nil
	if name != trace.NameExtension {
		like.DynamicID = id
	}
	like.Attributes = json.RawMessage(attributes)
	store.SpanRows = append(store.SpanRows, like)
}

func TestDefers(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	addSpan(store, completedRun, trace.NameDefer, "d1", "x", `{"_inngest.defer.fn_slug":"fixture-app-hello","_inngest.defer.hashed_id":"h1","_inngest.defer.userland_id":"u1","_inngest.defer.status":"scheduled","_inngest.defer.child_run_id":"`+childRun+`"}`)
	addSpan(store, completedRun, trace.NameDefer, "d2", "x", `{"_inngest.defer.fn_slug":"nope","_inngest.defer.hashed_id":"h2","_inngest.defer.userland_id":"u2","_inngest.defer.status":"aborted","_inngest.defer.child_run_id":"`+fixtureAppULID+`"}`)
	addSpan(store, completedRun, trace.NameDefer, "d3", "x", `{"_inngest.defer.hashed_id":"h3"}`)
	addSpan(store, childRun, trace.NameExtension, "p1", trace.NoParent, `{"_inngest.defer.parent_run_ids":["`+completedRun+`"]}`)

	const fields = `{hashedDeferID userlandDeferID fnSlug status function{slug} runID run{id}}`
	_, answer := post(t, api, `{run(runID:"`+completedRun+`"){defers`+fields+`}}`, nil)
	require.JSONEq(t, `{"data":{"run":{"defers":[
		{"hashedDeferID":"h1","userlandDeferID":"u1","fnSlug":"fixture-app-hello","status":"SCHEDULED","function":{"slug":"fixture-app-hello"},"runID":"`+childRun+`","run":{"id":"`+childRun+`"}},
		{"hashedDeferID":"h2","userlandDeferID":"u2","fnSlug":"nope","status":"ABORTED","function":null,"runID":"`+fixtureAppULID+`","run":null},
		{"hashedDeferID":"h3","userlandDeferID":"","fnSlug":"","status":"SCHEDULED","function":null,"runID":null,"run":null}]}}}`, answer)

	_, answer = post(t, api, `{run(runID:"`+childRun+`"){siblingDefers{hashedDeferID} deferredFrom{runID function{slug} run{id}}}}`, nil)
	require.JSONEq(t, `{"data":{"run":{"siblingDefers":[{"hashedDeferID":"h2"},{"hashedDeferID":"h3"}],
		"deferredFrom":[{"runID":"`+completedRun+`","function":{"slug":"fixture-app-hello"},"run":{"id":"`+completedRun+`"}}]}}}`, answer)
}

func TestDebugger(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	for i := range store.SpanRows {
		if run := store.SpanRows[i].RunID; run == completedRun || run == failedRun {
			store.SpanRows[i].DebugSessionID = fixtureAppULID
			store.SpanRows[i].DebugRunID = run
		}
	}
	addSpan(store, cancelledRun, trace.NameStep, "rootless", "x", `{}`)
	store.SpanRows[len(store.SpanRows)-1].DebugSessionID = fixtureAppULID

	_, answer := post(t, api, `{debugRun(query:{functionSlug:"x",debugRunID:"`+failedRun+`"}){debugTraces{name runID debugRunID debugSessionID}}}`, nil)
	require.JSONEq(t, `{"data":{"debugRun":{"debugTraces":[{"name":"Run","runID":"`+failedRun+`","debugRunID":"`+failedRun+`","debugSessionID":"`+fixtureAppULID+`"}]}}}`, answer)
	_, answer = post(t, api, `{debugSession(query:{functionSlug:"x",debugSessionID:"`+fixtureAppULID+`"}){debugRuns{status debugRunID endedAt tags versions}}}`, nil)
	require.JSONEq(t, `{"data":{"debugSession":{"debugRuns":[
		{"status":"FAILED","debugRunID":"`+failedRun+`","endedAt":"2026-11-25T23:16:11.874Z","tags":null,"versions":null},
		{"status":"COMPLETED","debugRunID":"`+completedRun+`","endedAt":"2026-11-25T23:16:11.03Z","tags":null,"versions":null}]}}}`, answer)

	_, answer = post(t, api, `mutation{createDebugSession(input:{functionSlug:"x"}){debugSessionID debugRunID}}`, nil)
	var made struct {
		Data struct {
			CreateDebugSession struct{ DebugSessionID, DebugRunID string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &made))
	require.Len(t, made.Data.CreateDebugSession.DebugSessionID, 26)
	require.NotEqual(t, made.Data.CreateDebugSession.DebugSessionID, made.Data.CreateDebugSession.DebugRunID)
}

// TestUserlandSpan has the fields of spans of user code.
func TestUserlandSpan(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	addSpan(store, completedRun, trace.NameUserland, "mine", "548e99fd8a825a22",
		`{"_inngest.userland":true,"_inngest.userland.span.name":"query","_inngest.userland.span.kind":"CLIENT","_inngest.userland.service.name":"db","_inngest.userland.resource.attributes":"{}","_inngest.userland.scope.name":"pg","db.system":"postgres"}`)
	_, answer := post(t, api, `{runTrace(runID:"`+completedRun+`"){childrenSpans{name isUserland userlandSpan{spanName spanKind serviceName resourceAttrs scopeName scopeVersion spanAttrs}}}}`, nil)
	require.Contains(t, answer, `{"name":"query","isUserland":true,"userlandSpan":{"spanName":"query","spanKind":"CLIENT","serviceName":"db","resourceAttrs":"{}","scopeName":"pg","scopeVersion":null,"spanAttrs":"{\"db.system\":\"postgres\"}"}}`)
}

// TestForeignRows: a span whose ids are broken is an error, not a panic.
func TestForeignRows(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*trace.Row){
		"app id": func(r *trace.Row) { r.AppID = "y" }, "function id": func(r *trace.Row) { r.FunctionID = "x" },
	} {
		api, store := newAPI(t, &commands{})
		for i := range store.SpanRows {
			spoil(&store.SpanRows[i])
		}
		status, answer := post(t, api, `{run(runID:"`+completedRun+`"){trace(preview:true){name}}}`, nil)
		require.Equal(t, 200, status, name)
		require.Contains(t, answer, `"errors"`, name)
	}
}
