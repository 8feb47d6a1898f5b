package graph_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/view"
)

// TestAnswers has fields that the captured queries do not ask for.
func TestAnswers(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	for document, want := range map[string]string{
		`{app(id:"` + fixtureApp + `"){name functionCount}}`:                                                `{"app":{"name":"fixture-app","functionCount":19}}`,
		`{apps(filter:{method:CONNECT}){name}}`:                                                             `{"apps":[{"name":"fixture-worker"}]}`,
		`{functionBySlug(query:{functionSlug:"fixture-app-fail-fn"}){name app{name} failureHandler{name}}}`: `{"functionBySlug":{"name":"fail-fn","app":{"name":"fixture-app"},"failureHandler":{"name":"fail-fn (failure)"}}}`,
		`{run(runID:"` + completedRun + `"){endedAt output eventName batchCreatedAt app{name} defers{fnSlug} siblingDefers{fnSlug} deferredFrom{runID} trace{name stepType parentSpanID parentSpan{name} traceID run{id} childrenSpans{parentSpan{name}}}}}`: `{"run":{
			"endedAt":"2026-11-25T23:16:11.042Z","output":"[{\"op\":\"RunComplete\",\"id\":\"0737c22d3bfae812339732d14d8c7dbd6dc4e09c\",\"data\":{\"hello\":\"from sender\"}}]",
			"eventName":null,"batchCreatedAt":null,"app":{"name":"fixture-app"},"defers":[],"siblingDefers":[],"deferredFrom":[],
			"trace":{"name":"fixture-app-hello","stepType":"","parentSpanID":null,"parentSpan":null,"traceID":"TRACE","run":{"id":"` + completedRun + `"},"childrenSpans":[{"parentSpan":{"name":"fixture-app-hello"}}]}}}`,
		`{run(runID:"` + cancelledRun + `"){status output}}`:                                                                  `{"run":{"status":"CANCELLED","output":null}}`,
		`{runTrace(runID:"` + failedRun + `"){name stepType childrenSpans{name metadata{kind updatedAt} response{headers}}}}`: ``,
		`{debugRun(query:{functionSlug:"x"}){debugTraces{name}}}`:                                                             `{"debugRun":{"debugTraces":[]}}`,
		`{debugRun(query:{functionSlug:"x",debugRunID:"y"}){debugTraces{name}}}`:                                              `{"debugRun":{"debugTraces":[]}}`,
		`{debugSession(query:{functionSlug:"x",debugSessionID:"y"}){debugRuns{status}}}`:                                      `{"debugSession":{"debugRuns":null}}`,
		`{workerConnection(connectionId:"01M8AFYRBDHFTFX5ZPJC6G4X4M"){buildId app{name}}}`:                                    `{"workerConnection":{"buildId":"v1.2.3","app":{"name":"fixture-worker"}}}`,
		`{workerConnections(orderBy:[{field:LAST_HEARTBEAT_AT,direction:ASC},{field:DISCONNECTED_AT,direction:ASC}],filter:{status:[READY],timeField:CONNECTED_AT,from:"2026-11-25T23:00:00Z",until:"2026-11-25T23:30:00Z"}){totalCount edges{cursor} pageInfo{endCursor}}}`: `{"workerConnections":{"totalCount":0,"edges":[],"pageInfo":{"endCursor":null}}}`,
	} {
		status, answer := post(t, api, document, nil)
		require.Equal(t, 200, status, answer)
		require.NotContains(t, answer, `"errors"`, document)
		if want != "" {
			requireData(t, want, answer)
		}
	}
}

// requireData compares answers; the text TRACE stands for any trace id.
func requireData(t *testing.T, want, answer string) {
	var wanted, got map[string]any
	require.NoError(t, json.Unmarshal([]byte(`{"data":`+want+`}`), &wanted), want)
	require.NoError(t, json.Unmarshal([]byte(answer), &got))
	mask(wanted, got)
	require.Equal(t, wanted, got)
}

func mask(want, got map[string]any) {
	for key, value := range want {
		if value == "TRACE" {
			want[key] = got[key]
		}
		inner, okWant := value.(map[string]any)
		other, okGot := got[key].(map[string]any)
		if okWant && okGot {
			mask(inner, other)
		}
	}
}

func TestOlderAnswers(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	_, answer := post(t, api, `{functionRun(query:{functionRunId:"`+failedRun+`"}){id status startedAt finishedAt pendingSteps waitingFor{eventName} eventID cron batchID function{slug} event{name} events{name} history{type attempt stepName stepType result{durationMS sdkLanguage sizeBytes errorCode}}}}`, nil)
	var got struct {
		Data struct {
			FunctionRun struct {
				ID, Status string
				Function   struct{ Slug string }
				Events     []struct{ Name string }
				History    []struct {
					Type    string
					Attempt int
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
	require.NotContains(t, answer, `"errors"`)
	run := got.Data.FunctionRun
	require.Equal(t, "FAILED", run.Status)
	require.Equal(t, "fixture-app-fail-fn", run.Function.Slug)
	require.Equal(t, "fx/fail", run.Events[0].Name)
	var types []string
	for _, item := range run.History {
		types = append(types, fmt.Sprint(item.Type, " ", item.Attempt))
	}
	require.ElementsMatch(t, []string{
		"FunctionScheduled 0", "FunctionStarted 0", "StepStarted 0", "StepErrored 0", "StepScheduled 1", "StepStarted 1", "StepFailed 1", "FunctionFailed 1",
	}, types)

	for id := range store.HistoryRows {
		if _, err := store.Run(t.Context(), id); err != nil {
			continue
		}
		_, answer = post(t, api, `query($id: ID!){functionRun(query:{functionRunId:$id}){output history{id cancel{eventID expression userID} sleep{until} waitForEvent{eventName expression timeout} waitResult{eventID timeout} invokeFunction{eventID functionID correlationID timeout} invokeFunctionResult{eventID runID timeout} groupID url createdAt functionVersion}}}`,
			map[string]any{"id": id.String()})
		require.NotContains(t, answer, `"errors"`)
	}
}

func TestHistoryItemOutput(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	run, item := ulid.MustParse(failedRun), ulid.MustParse(completedRun)
	store.HistoryRows[run] = []view.HistoryItem{
		{ID: item, Type: "StepCompleted", Result: json.RawMessage(`{"output":"\"x\""}`)},
		{ID: run, Type: "StepFailed", Sleep: json.RawMessage(`broken`)},
	}
	document := `query($i: ULID!){functionRun(query:{functionRunId:"` + failedRun + `"}){historyItemOutput(id:$i)}}`
	_, answer := post(t, api, document, map[string]any{"i": item})
	require.JSONEq(t, `{"data":{"functionRun":{"historyItemOutput":"\"x\""}}}`, answer)
	_, answer = post(t, api, document, map[string]any{"i": cancelledRun})
	require.JSONEq(t, `{"data":{"functionRun":{"historyItemOutput":null}}}`, answer)
	_, answer = post(t, api, `{functionRun(query:{functionRunId:"`+failedRun+`"}){history{id}}}`, nil)
	require.Contains(t, answer, "reading history item "+failedRun)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	_, answer := post(t, api, `{events(query:{}){id name status totalRuns pendingRuns externalID payload raw functionRuns{id status}}}`, nil)
	var list struct {
		Data struct{ Events []map[string]any }
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &list), answer)
	require.NotEmpty(t, list.Data.Events)

	wait := ulid.MustParse("01M8AFXGXB2QYQ8Y1EPW6DF6ZE")
	_, answer = post(t, api, `{event(query:{eventId:"`+wait.String()+`"}){name status totalRuns pendingRuns payload raw functionRuns{id status}}}`, nil)
	require.JSONEq(t, `{"data":{"event":{"name":"fx/wait","status":"COMPLETED","totalRuns":1,"pendingRuns":0,"payload":"{\"id\":\"w1\"}",
		"raw":"{\"id\":\"01M8AFXGXB2QYQ8Y1EPW6DF6ZE\",\"name\":\"fx/wait\",\"data\":{\"id\":\"w1\"},\"ts\":1795648570283}",
		"functionRuns":[{"id":"01M8AFXH19AK15D99G7WXAS6FB","status":"COMPLETED"}]}}}`, answer)

	for statuses, want := range map[[2]view.Status]string{
		{view.Failed, view.Failed}:       "FAILED",
		{view.Failed, view.Running}:      "PARTIALLY_FAILED",
		{view.Completed, view.Running}:   "RUNNING",
		{view.Skipped, view.Skipped}:     "NO_FUNCTIONS",
		{view.Completed, view.Cancelled}: "COMPLETED",
	} {
		for i := range statuses {
			store.RunRows[i].TriggerIDs, store.RunRows[i].Status = []ulid.ULID{wait}, statuses[i]
		}
		store.RunRows = store.RunRows[:2]
		_, answer = post(t, api, `{event(query:{eventId:"`+wait.String()+`"}){status}}`, nil)
		require.JSONEq(t, `{"data":{"event":{"status":"`+want+`"}}}`, answer)
	}
}

func TestEventWithUserAndSkippedRun(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	_, answer := post(t, api, `{eventV2(id:"01M8AFXGSDDVY8CE8ZQ8SVBRWY"){raw envID source{id} version}}`, nil)
	require.JSONEq(t, `{"data":{"eventV2":{"envID":"00000000-0000-0000-0000-000000000000","source":null,"version":"2026-01-01",
		"raw":"{\"data\":{\"name\":\"Ada\"},\"id\":\"order-1001\",\"name\":\"fx/hello\",\"ts\":1795648570156,\"user\":{\"external_id\":\"u1\"},\"v\":\"2026-01-01\"}"}}}`, answer)

	for _, run := range store.RunRows {
		if run.Status == view.Skipped {
			_, answer = post(t, api, `query($e: ULID!){eventV2(id:$e){runs{status function{slug} trace(preview:true){name status skipReason skipExistingRunID}}}}`,
				map[string]any{"e": run.TriggerIDs[0]})
			require.Contains(t, answer, `{"status":"SKIPPED","function":{"slug":"fixture-app-singleton-skip"},"trace":{"name":"executor.run","status":"SKIPPED","skipReason":"Singleton","skipExistingRunID":"01M8AFXHR4NH9PJF5BV8DB259W"}}`)
		}
	}
}

func TestEventPages(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	document := `query($n: Int = 40, $a: String){eventsV2(first:$n,after:$a,filter:{from:"2026-11-25T23:00:00Z",includeInternalEvents:true,eventNames:["fx/hello","inngest/function.finished"],query:"ignored"}){totalCount edges{cursor node{id}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`
	type page struct {
		Data struct {
			EventsV2 struct {
				TotalCount int
				Edges      []struct {
					Node struct{ ID string }
				}
				PageInfo struct {
					HasNextPage, HasPreviousPage bool
					EndCursor                    *string
				}
			}
		}
	}
	var ids []string
	var after *string
	for {
		_, answer := post(t, api, document, map[string]any{"n": 7, "a": after})
		var p page
		require.NoError(t, json.Unmarshal([]byte(answer), &p), answer)
		require.Equal(t, after != nil, p.Data.EventsV2.PageInfo.HasPreviousPage)
		for _, edge := range p.Data.EventsV2.Edges {
			if len(ids) > 0 {
				require.Less(t, edge.Node.ID, ids[len(ids)-1], "newest first")
			}
			ids = append(ids, edge.Node.ID)
		}
		if !p.Data.EventsV2.PageInfo.HasNextPage {
			require.Len(t, ids, p.Data.EventsV2.TotalCount)
			break
		}
		after = p.Data.EventsV2.PageInfo.EndCursor
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	type item struct {
		ID, Trigger, Type string
		InBatch           bool
		Runs              []struct{ ID string }
	}
	list := func(query string) []item {
		_, answer := post(t, api, `{stream(query:{`+query+`}){id trigger type createdAt inBatch runs{id status}}}`, nil)
		var got struct{ Data struct{ Stream []item } }
		require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
		require.NotContains(t, answer, `"errors"`)
		return got.Data.Stream
	}
	all := list(`limit:200,includeInternalEvents:true`)
	require.Len(t, all, 62)
	kinds, batched := map[string]int{}, 0
	for _, i := range all {
		kinds[i.Type]++
		if i.InBatch {
			batched++
		}
	}
	require.Equal(t, map[string]int{"CRON": 2, "EVENT": 60}, kinds)
	require.Equal(t, 3, batched)
	for _, i := range list(`limit:200`) {
		require.True(t, len(i.Runs) > 0 || i.Trigger[:8] != "inngest/", "internal events only when they started a run")
	}
	require.Len(t, list(`limit:0`), 20-hiddenOf(all[:20], t))
	middle := all[30].ID
	require.Equal(t, all[31].ID, list(`limit:200,includeInternalEvents:true,before:"` + middle + `"`)[0].ID)
	require.Len(t, list(`limit:200,includeInternalEvents:true,after:"`+middle+`"`), 30)
}

func hiddenOf[T any](items []T, t *testing.T) int {
	hidden := 0
	for _, i := range items {
		raw, err := json.Marshal(i)
		require.NoError(t, err)
		var decoded struct {
			Trigger string
			Runs    []any
		}
		require.NoError(t, json.Unmarshal(raw, &decoded))
		if len(decoded.Runs) == 0 && len(decoded.Trigger) > 8 && decoded.Trigger[:8] == "inngest/" {
			hidden++
		}
	}
	return hidden
}

func TestRunFilters(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	total := func(filter, args string) int {
		_, answer := post(t, api, `{runs(first:5,orderBy:[]`+args+`,filter:{from:"2026-11-25T23:00:00Z",`+filter+`}){totalCount legacy:totalCount(preview:false) pageInfo{hasNextPage}}}`, nil)
		var got struct {
			Data struct{ Runs struct{ TotalCount int } }
		}
		require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
		require.NotContains(t, answer, `"errors"`)
		return got.Data.Runs.TotalCount
	}
	require.Equal(t, 27, total(``, ``), "until defaults to now")
	require.Equal(t, 27, total(`status:[SKIPPED]`, ``), "which is no filter")
	require.Equal(t, 2, total(`status:[SKIPPED,FAILED]`, ``))
	require.Equal(t, 2, total(`functionIDs:["20be5504-9564-5440-b9c9-15d46067966b"]`, ``))
	require.Equal(t, 1, total(`appIDs:["24f12545-e3b6-5b8b-9b74-c51e15f14310"]`, `,preview:false`))
	require.Equal(t, 0, total(`until:"2026-11-25T23:00:01Z"`, ``))
	require.Equal(t, 0, total(`isDeferred:true`, ``))
	require.Equal(t, 27, total(`timeField:ENDED_AT`, ``))
	require.Equal(t, 2, total(`query:"error.message == \"always fails\" || error.message == \"no retry please\" || error.name == \"NonRetriableError\""`, ``))
}

// TestEveryRunPage walks through the runs in small pages of either kind.
func TestEveryRunPage(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	for _, args := range []string{`preview:true,orderBy:[]`, `preview:false,orderBy:[]`, `preview:false,orderBy:[{field:ENDED_AT,direction:ASC}]`, `orderBy:[{field:ENDED_AT,direction:DESC}]`, `preview:false,orderBy:[{field:STARTED_AT,direction:DESC}]`} {
		seen := map[string]bool{}
		var after *string
		for range 10 {
			_, answer := post(t, api, `query($a:String){runs(first:4,after:$a,`+args+`,filter:{from:"2026-11-25T23:00:00Z",timeField:QUEUED_AT,until:"2026-11-25T23:17:30Z"}){edges{node{id}} pageInfo{hasNextPage endCursor}}}`, map[string]any{"a": after})
			var got struct {
				Data struct {
					Runs struct {
						Edges    []struct{ Node struct{ ID string } }
						PageInfo struct {
							HasNextPage bool
							EndCursor   *string
						}
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(answer), &got), answer)
			for _, edge := range got.Data.Runs.Edges {
				require.False(t, seen[edge.Node.ID], "%s comes twice", edge.Node.ID)
				seen[edge.Node.ID] = true
			}
			if !got.Data.Runs.PageInfo.HasNextPage {
				break
			}
			after = got.Data.Runs.PageInfo.EndCursor
		}
		require.Len(t, seen, 27, args)
	}
}
