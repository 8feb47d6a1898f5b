package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// graphQL sends a document and returns the status, the messages of the errors
// and the text.
func (to target) graphQL(t *testing.T, document string, variables any) (status int, messages []string, answer string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	require.NoError(t, err)
	status, answer = to.request(t, http.MethodPost, to.URL()+"/v0/gql", jsonBody, body)
	var parsed struct{ Errors []struct{ Message string } }
	require.NoError(t, json.Unmarshal([]byte(answer), &parsed), answer)
	for _, failure := range parsed.Errors {
		messages = append(messages, failure.Message)
	}
	return status, messages, answer
}

const (
	anyRun = "01M8AFNA89V4FR54NKFFTV1PNK"
	from   = `from:"2026-01-01T00:00:00Z"`
	order  = `orderBy:[{field:QUEUED_AT,direction:DESC}]`
)

// TestRefusedDocuments are malformed, too large, or ask for what there is not.
func TestRefusedDocuments(t *testing.T) {
	t.Parallel()
	documents := map[string]string{
		"empty":            ``,
		"blank":            `   `,
		"cut off":          `{apps{id`,
		"zero byte":        "{apps{id\x00}}",
		"no field":         `{nope}`,
		"no selection":     `{apps}`,
		"no operation":     `fragment f on App{id}`,
		"subscription":     `subscription{apps{id}}`,
		"wrong type":       `{run(runID:7){id}}`,
		"missing":          `{run{id}}`,
		"wrong enum":       `{runs(orderBy:[{field:X,direction:DESC}],filter:{` + from + `}){totalCount}}`,
		"number too big":   `{runs(first:99999999999999999999,` + order + `,filter:{` + from + `}){totalCount}}`,
		"deep":             `{functions{app` + strings.Repeat(`{functions{app`, 40) + `{id` + strings.Repeat(`}}`, 41) + `}`,
		"brackets":         strings.Repeat(`{a`, 100_000),
		"lists":            `{run(runID:` + strings.Repeat(`[`, 100_000) + `){id}}`,
		"aliases":          `{` + strings.Repeat(`a:apps{id} `, 100_000) + `}`,
		"fragment cycle":   `{...a} fragment a on Query{...b} fragment b on Query{...a}`,
		"fragment bomb":    bomb(30),
		"directive bomb":   `{apps` + strings.Repeat(` @include(if:true)`, 50_000) + `{id}}`,
		"long name":        `{` + strings.Repeat(`a`, 1_000_000) + `}`,
		"unknown variable": `query($a:Nope){apps{id}}`,
	}
	each(t, func(t *testing.T, to target) {
		for name, document := range documents {
			status, messages, answer := to.graphQL(t, document, nil)
			assert.True(t, status >= 400 && status < 500, "%s: %d %.300s", name, status, answer)
			assert.NotEmpty(t, messages, name)
		}
	})
}

// bomb is a document whose fragments double n times.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString(`{...f0}`)
	for i := range n {
		name, next := "f"+string(rune('A'+i)), "f"+string(rune('A'+i+1))
		if i == 0 {
			name = "f0"
		}
		b.WriteString(` fragment ` + name + ` on Query{a` + name + `:__typename ...` + next + ` ...` + next + `}`)
	}
	b.WriteString(` fragment f` + string(rune('A'+n)) + ` on Query{apps{id}}`)
	return b.String()
}

// TestRefusedArguments are understood as documents; what they ask for cannot
// be: an error of the field, with status 200 (graphql §2).
func TestRefusedArguments(t *testing.T) {
	t.Parallel()
	runs := func(query string) string {
		quoted, _ := json.Marshal(query)
		return `{runs(` + order + `,filter:{` + from + `,query:` + string(quoted) + `}){edges{cursor} totalCount}}`
	}
	documents := map[string]string{
		"run id":              `{run(runID:"' OR 1=1 --"){id}}`,
		"zero in a run id":    `{run(runID:"01M8AFNA89V4FR54NKFFTV1PN\u0000"){id}}`,
		"unknown trace":       `{runTrace(runID:"` + anyRun + `"){name}}`,
		"unknown trigger":     `{runTrigger(runID:"` + anyRun + `"){IDs}}`,
		"output id":           `{runTraceSpanOutputByID(outputID:"e30="){data}}`,
		"no base64":           `{runTraceSpanOutputByID(outputID:"%%%"){data}}`,
		"event id":            `{eventV2(id:"x"){id}}`,
		"app id":              `{app(id:"'; DROP TABLE apps; --"){id}}`,
		"unknown app":         `{app(id:"00000000-0000-4000-b000-000000000000"){id}}`,
		"slug":                `{functionBySlug(query:{functionSlug:"\u0000' OR ''='"}){id}}`,
		"cursor of runs":      `{runs(after:"' OR 1=1",` + order + `,filter:{` + from + `}){edges{cursor}}}`,
		"cursor of nobody":    `{runs(after:"eyJpZCI6IjAxTThBRk5BODlWNEZSNTROS0ZGVFYxUE5LIiwiYyI6e319",` + order + `,filter:{` + from + `}){edges{cursor}}}`,
		"cursor of events":    `{eventsV2(after:"x",filter:{` + from + `}){edges{cursor}}}`,
		"cursor of workers":   `{workerConnections(after:"x",orderBy:[{field:CONNECTED_AT,direction:ASC}],filter:{` + from + `}){edges{cursor}}}`,
		"time":                `{runs(` + order + `,filter:{from:"yesterday"}){totalCount}}`,
		"unreadable search":   runs(`event.name ==`),
		"injected search":     runs(`event.name == "x' OR 1=1 --" && `),
		"call in a search":    runs(`event.data.matches("(a+)+$") && size([1,2].map(x, x*x)) > 0`),
		"deep search":         runs(strings.Repeat("(", 10_000) + "true" + strings.Repeat(")", 10_000)),
		"endless search":      runs(strings.Repeat(`event.name == "a" && `, 20_000) + `event.name == "a"`),
		"cancel":              `mutation{cancelRun(runID:"x"){id}}`,
		"cancel of nobody":    `mutation{cancelRun(runID:"` + anyRun + `"){id}}`,
		"rerun of nobody":     `mutation{rerun(runID:"` + anyRun + `")}`,
		"rerun with input":    `mutation{rerun(runID:"` + anyRun + `",fromStep:{stepID:"a",input:"{}"})}`,
		"rerun from a zero":   `mutation{rerun(runID:"` + anyRun + `",fromStep:{stepID:"\u0000",input:"[1]"})}`,
		"app by ftp":          `mutation{createApp(input:{url:"ftp://x"}){id}}`,
		"app with a zero":     `mutation{createApp(input:{url:"http://x/\u0000"}){id}}`,
		"app nowhere":         `mutation{createApp(input:{url:""}){id}}`,
		"move nobody":         `mutation{updateApp(input:{id:"00000000-0000-4000-b000-000000000000",url:"http://x.test"}){id}}`,
		"delete nobody":       `mutation{deleteApp(id:"00000000-0000-4000-b000-000000000000")}`,
		"delete no id":        `mutation{deleteApp(id:"x")}`,
		"meta":                `mutation{invokeFunction(functionSlug:"a",meta:{x:1})}`,
		"sessions":            `mutation{invokeFunction(functionSlug:"a",meta:{sessions:{a:true}})}`,
		"place in a stream":   `{stream(query:{limit:-5,after:"\u0000"}){id}}`,
		"debug without an id": `{debugSession(query:{functionSlug:"a"}){__typename}}`,
	}
	each(t, func(t *testing.T, to target) {
		for name, document := range documents {
			status, messages, answer := to.graphQL(t, document, nil)
			assert.Less(t, status, 500, name)
			if assert.NotEmpty(t, messages, "%s: %s", name, answer) {
				assert.NotContains(t, messages[0], "SQLSTATE", name)
				assert.NotContains(t, messages[0], "internal system error", name)
			}
		}
	})
}

// TestOddArguments mean nothing, and find nothing.
func TestOddArguments(t *testing.T) {
	t.Parallel()
	documents := map[string]string{
		"huge page":        `{runs(first:2147483647,` + order + `,filter:{` + from + `}){edges{cursor} totalCount}}`,
		"negative page":    `{runs(first:-1,` + order + `,filter:{` + from + `}){edges{cursor}}}`,
		"no order":         `{runs(orderBy:[],filter:{` + from + `}){edges{cursor}}}`,
		"negative events":  `{eventsV2(first:-7,filter:{` + from + `}){edges{cursor}}}`,
		"names":            `{eventsV2(filter:{` + from + `,eventNames:["\u0000","' OR 1=1 --","😀"]}){edges{cursor} totalCount}}`,
		"search of a name": `{runs(` + order + `,filter:{` + from + `,query:"event.name == \"\\u0000'; DROP TABLE events; --\""}){edges{cursor}}}`,
		"year 0":           `{runs(` + order + `,filter:{from:"0000-01-01T00:00:00Z",until:"9999-12-31T23:59:59Z"}){edges{cursor} totalCount}}`,
		"backwards":        `{runs(` + order + `,filter:{from:"2030-01-01T00:00:00Z",until:"2020-01-01T00:00:00Z"}){edges{cursor} totalCount}}`,
		"debug run":        `{debugRun(query:{functionSlug:"\u0000",debugRunID:"\u0000' OR 1=1"}){debugTraces{name}}}`,
		"delete by name":   `mutation{deleteAppByName(name:"\u0000'; --")}`,
		"invoke nobody":    `mutation{invokeFunction(functionSlug:"\u0000/../😀",data:{a:"\u0000"},user:{b:"\u0000"})}`,
	}
	each(t, func(t *testing.T, to target) {
		for name, document := range documents {
			status, messages, answer := to.graphQL(t, document, nil)
			assert.Equal(t, http.StatusOK, status, "%s: %s", name, answer)
			assert.Empty(t, messages, name)
		}
	})
}

// TestVariables of the wrong types.
func TestVariables(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for _, variables := range []any{
			map[string]any{"id": 7}, map[string]any{"id": nil}, map[string]any{"id": []string{"a"}}, map[string]any{"id": map[string]any{"a": 1}}, nil,
		} {
			status, messages, answer := to.graphQL(t, `query($id:String!){run(runID:$id){id}}`, variables)
			assert.Less(t, status, 500)
			assert.NotEmpty(t, messages, answer)
		}
		for _, body := range []string{
			`{"query":"{apps{id}}","variables":7}`, `{"query":"{apps{id}}","variables":"x"}`, `{"query":7}`, `{"query":"{apps{id}}","operationName":"nope"}`, `[{"query":"{apps{id}}"}]`,
		} {
			status, answer := to.request(t, http.MethodPost, to.URL()+"/v0/gql", jsonBody, []byte(body))
			refused(t, status, answer, body)
		}
	})
}
