package graph_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRefusedRequests has the answers of graphql §2 and some of what they do
// not name: a clear 4xx, never a 500.
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	cases := map[string]struct {
		body, kind string
		status     int
		answer     string // a part of it
	}{
		"unknown field": {`{"query":"{nope}"}`, "application/json", 422,
			`{"errors":[{"message":"Cannot query field \"nope\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}],"data":null}`},
		"batch": {` [{"query":"{apps{id}}"}]`, "application/json", 422,
			`{"errors":[{"message":"Unexpected [","locations":[{"line":1,"column":1}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}],"data":null}`},
		"parse error":       {`{"query":"{apps"}`, "application/json; charset=utf-8", 422, `"code":"GRAPHQL_PARSE_FAILED"`},
		"content type":      {`{"query":"{apps{id}}"}`, "text/plain", 400, `{"errors":[{"message":"transport not supported"}],"data":null}`},
		"no content type":   {`{"query":"{apps{id}}"}`, "", 400, `transport not supported`},
		"broken JSON":       {`{"query":`, "application/json", 400, `"errors"`},
		"empty":             {``, "application/json", 400, `"errors"`},
		"wrong types":       {`{"query":5}`, "application/json", 400, `"errors"`},
		"too large":         {`{"query":"` + strings.Repeat(" ", 5<<20) + `"}`, "application/json", 413, `request body is too large`},
		"too many tokens":   {`{"query":"{` + strings.Repeat("apps{id}", 6000) + `}"}`, "application/json", 422, `"errors"`},
		"too deep":          {`{"query":"{apps{` + strings.Repeat("functions{app{", 15) + `id` + strings.Repeat("}}", 15) + `}}"}`, "application/json", 422, `the document is too large`},
		"fragments explode": {`{"query":"{apps{...f0}}` + fragments(100) + `"}`, "application/json", 422, `the document is too large`},
		"int as text":       {`{"query":"query($n:Int!){eventsV2(first:$n,filter:{from:\"2026-11-25T23:00:00Z\"}){totalCount}}","variables":{"n":"x"}}`, "application/json", 422, `"errors"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := send(t, api, bytes.NewReader([]byte(c.body)), c.kind)
			require.Equal(t, c.status, status, answer)
			require.Contains(t, answer, c.answer)
		})
	}
}

// fragments stand for 2^n fields.
func fragments(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on App{...f%d a:id ...f%d}", i, i+1, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on App{id}", n)
	return b.String()
}

// TestErrorsOfResolvers come with status 200.
func TestErrorsOfResolvers(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	const unknown = "01M8AFNA89V4FR54NKFFTV1PNK"
	for document, want := range map[string]string{
		`{run(runID:"bad"){id}}`:                                                           `{"errors":[{"message":"error parsing runID: ulid: bad data size when unmarshaling","path":["run"]}],"data":{"run":null}}`,
		`{run(runID:"` + unknown + `"){id}}`:                                               `{"errors":[{"message":"error retrieving run: sql: no rows in result set","path":["run"]}],"data":{"run":null}}`,
		`{runTrace(runID:"` + unknown + `"){name}}`:                                        `{"errors":[{"message":"error retrieving trace: no root span found for run 00000000000000000000000000","path":["runTrace"]}],"data":null}`,
		`{runTrace(runID:"bad"){name}}`:                                                    `{"errors":[{"message":"error parsing runID: ulid: bad data size when unmarshaling","path":["runTrace"]}],"data":null}`,
		`{runTrigger(runID:"bad"){cron}}`:                                                  `{"errors":[{"message":"error parsing runID: ulid: bad data size when unmarshaling","path":["runTrigger"]}],"data":null}`,
		`{runTrigger(runID:"` + unknown + `"){cron}}`:                                      `{"errors":[{"message":"error retrieving run: sql: no rows in result set","path":["runTrigger"]}],"data":null}`,
		`{eventV2(id:"` + unknown + `"){id}}`:                                              `{"errors":[{"message":"event not found: ` + unknown + `","path":["eventV2"]}],"data":null}`,
		`{eventV2(id:"bad"){id}}`:                                                          `{"errors":[{"message":"ulid: bad data size when unmarshaling","path":["eventV2","id"]}],"data":null}`,
		`{eventV2(id:5){id}}`:                                                              `{"errors":[{"message":"ULIDs must be strings","path":["eventV2","id"]}],"data":null}`,
		`{event(query:{eventId:"` + unknown + `"}){id}}`:                                   `{"errors":[{"message":"sql: no rows in result set","path":["event"]}],"data":{"event":null}}`,
		`{event(query:{eventId:"bad"}){id}}`:                                               `{"errors":[{"message":"ulid: bad data size when unmarshaling","path":["event"]}],"data":{"event":null}}`,
		`{functionRun(query:{functionRunId:"` + unknown + `"}){id}}`:                       `{"errors":[{"message":"not found","path":["functionRun"]}],"data":{"functionRun":null}}`,
		`{functionRun(query:{functionRunId:"bad"}){id}}`:                                   `{"errors":[{"message":"ulid: bad data size when unmarshaling","path":["functionRun"]}],"data":{"functionRun":null}}`,
		`{app(id:"00000000-0000-0000-0000-000000000000"){id}}`:                             `{"errors":[{"message":"sql: no rows in result set","path":["app"]}],"data":{"app":null}}`,
		`{functionBySlug(query:{functionSlug:"x"}){id}}`:                                   `{"errors":[{"message":"sql: no rows in result set","path":["functionBySlug"]}],"data":{"functionBySlug":null}}`,
		`{workerConnection(connectionId:"` + unknown + `"){id}}`:                           `{"errors":[{"message":"error retrieving worker connection: sql: no rows in result set","path":["workerConnection"]}],"data":{"workerConnection":null}}`,
		`{runTraceSpanOutputByID(outputID:"!"){data}}`:                                     `{"errors":[{"message":"error parsing span identifier: illegal base64 data at input byte 0","path":["runTraceSpanOutputByID"]}],"data":null}`,
		`{runTraceSpanOutputByID(outputID:"eyJ0aWQiOiJhIiwic2lkIjoiYiJ9"){data}}`:          `{"errors":[{"message":"no output found","path":["runTraceSpanOutputByID"]}],"data":null}`,
		`{debugSession(query:{functionSlug:"x"}){debugRuns{status}}}`:                      `{"errors":[{"message":"debug session not found","path":["debugSession"]}],"data":{"debugSession":null}}`,
		`{eventsV2(first:1,after:"x",filter:{from:"2026-11-25T23:00:00Z"}){totalCount}}`:   `{"errors":[{"message":"invalid cursor: illegal base64 data at input byte 0","path":["eventsV2"]}],"data":null}`,
		`{runs(after:"e30=",orderBy:[],filter:{from:"2026-11-25T23:00:00Z"}){totalCount}}`: `{"errors":[{"message":"error retrieving runs: invalid cursor: ulid: bad data size when unmarshaling","path":["runs"]}],"data":null}`,
		`{runs(orderBy:[],filter:{from:"2026-11-25T23:00:00Z",query:"true"}){totalCount}}`: `{"errors":[{"message":"error retrieving runs: invalid syntax detected","path":["runs"]}],"data":null}`,
		`{workerConnections(after:"e",orderBy:[],filter:{}){totalCount}}`:                  `{"errors":[{"message":"error retrieving worker connections: invalid cursor: illegal base64 data at input byte 0","path":["workerConnections"]}],"data":null}`,
		`{stream(query:{before:"bad"}){id}}`:                                               `{"errors":[{"message":"ulid: bad data size when unmarshaling","path":["stream"]}],"data":null}`,
		`{events(query:{lastEventId:"bad"}){id}}`:                                          `{"errors":[{"message":"ulid: bad data size when unmarshaling","path":["events"]}],"data":{"events":null}}`,
	} {
		status, answer := post(t, api, document, nil)
		require.Equal(t, http.StatusOK, status, document)
		require.JSONEq(t, want, answer, document)
	}
}

func TestGetAndIntrospection(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t, &commands{})
	recorder := httptest.NewRecorder()
	query := url.Values{"query": {`{__schema{queryType{name} mutationType{name} subscriptionType{name}}}`}}
	api.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v0/gql?"+query.Encode(), nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	require.JSONEq(t, `{"data":{"__schema":{"queryType":{"name":"Query"},"mutationType":{"name":"Mutation"},"subscriptionType":null}}}`, recorder.Body.String())

	recorder = httptest.NewRecorder()
	api.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/v0/gql", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
}
