package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// atPresent makes the server's clock the real one: what is listed depends on
// its age.
func atPresent(cfg *Config) { cfg.Now = time.Now }

func TestCreateCancellation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, atPresent)
	f.catalog.apps = []*function.App{demoApp()}
	before := time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)
	after := before.Add(-time.Hour)

	w := f.do(t, "POST", "/v1/cancellations", fmt.Sprintf(
		`{"app_id":"demo","function_id":"demo-sleeper","started_after":%q,"started_before":%q,"if":"event.data.id == 'a'"}`,
		after.Format(time.RFC3339Nano), before.Format(time.RFC3339Nano)))
	require.Equal(t, 201, w.Code, w.Body)
	var answer struct {
		Data     map[string]any
		Metadata map[string]any
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	id := answer.Data["id"].(string)
	require.NotEmpty(t, answer.Data["created_at"])
	delete(answer.Data, "created_at")
	require.Equal(t, map[string]any{
		"id": id, "environment_id": "00000000-0000-4000-b000-000000000000",
		"function_id": "demo-sleeper", "function_internal_id": "1d096226-3dd8-522e-bf41-b1de71388121",
		"started_after": after.Format(time.RFC3339Nano), "started_before": before.Format(time.RFC3339Nano), "if": "event.data.id == 'a'",
	}, answer.Data)
	require.NotEmpty(t, answer.Metadata["fetched_at"])

	stored := f.catalog.Catalog().AllCancellations()
	require.Len(t, stored, 1)
	require.Equal(t, id, stored[0].ID.String())
	require.Equal(t, demoApp().Functions[0].ID, stored[0].FunctionID)
	require.Equal(t, [2]time.Time{after, before}, [2]time.Time{stored[0].StartedAfter, stored[0].StartedBefore})
	require.Equal(t, "event.data.id == 'a'", stored[0].If)
	require.WithinDuration(t, time.Now(), stored[0].CreatedAt, time.Minute)
}

func TestCreateCancellationRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // whose clock says 2026-11-25T23:00:52
	f.catalog.apps = []*function.App{demoApp()}
	const valid = `"app_id":"demo","function_id":"demo-sleeper","started_before":"2026-11-25T23:00:00Z"`
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"nothing": {`{}`, 400, "app_id is required\nfunction_id is required\nstarted_before is required"},
		"a future end": {
			`{"app_id":"demo","function_id":"demo-sleeper","started_before":"2026-11-25T23:00:58Z"}`, 400, "started_before must be in the past",
		},
		"a start at the end": {
			`{` + valid + `,"started_after":"2026-11-25T23:00:00Z"}`, 400, "started_after must be before started_before",
		},
		"two problems": {
			`{"app_id":"demo","started_after":"2026-11-25T23:01:00Z","started_before":"2026-11-25T23:00:58Z"}`, 400,
			"function_id is required\nstarted_before must be in the past\nstarted_after must be before started_before",
		},
		"an unknown function": {
			`{"app_id":"demo","function_id":"sleeper","started_before":"2026-11-25T23:00:00Z"}`, 404, "function not found",
		},
		"the function of another app": {
			`{"app_id":"shop","function_id":"demo-sleeper","started_before":"2026-11-25T23:00:00Z"}`, 404, "function not found",
		},
		"a bad expression": {`{` + valid + `,"if":"event.data. =="}`, 400, "invalid expression: error compiling expression: ERROR: <input>:1:13: Syntax error"},
		"no JSON":          {`nope`, 400, "Invalid cancellation: invalid character"},
		"a bad time":       {`{"started_before":"yesterday"}`, 400, "Invalid cancellation: parsing time"},
		"too much":         {strings.Repeat(" ", maxCancellation+1), 413, "Request body cannot exceed 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w := f.do(t, "POST", "/v1/cancellations", c.body)
			var refusal problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &refusal))
			require.Equal(t, c.status, w.Code)
			require.True(t, strings.HasPrefix(refusal.Message, c.want), refusal.Message)
			require.Empty(t, f.catalog.controls)
		})
	}
}

func TestCreateCancellationAllowsForClocks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.catalog.apps = []*function.App{demoApp()}
	for _, names := range []string{
		`"app_id":"demo","function_id":"1d096226-3dd8-522e-bf41-b1de71388121"`,
		`"app_id":"` + function.AppID("demo").String() + `","function_id":"demo-sleeper"`,
	} {
		w := f.do(t, "POST", "/v1/cancellations", `{`+names+`,"started_before":"2026-11-25T23:00:57Z"}`)
		require.Equal(t, 201, w.Code, w.Body)
		require.Contains(t, w.Body.String(), `"started_after":null,"started_before":"2026-11-25T23:00:57Z","if":null`)
	}
}

func TestListAndDeleteCancellations(t *testing.T) {
	t.Parallel()
	f := newFixture(t, atPresent)
	f.catalog.apps = []*function.App{demoApp()}
	require.Contains(t, f.do(t, "GET", "/v1/cancellations", "").Body.String(), `{"data":[],`)

	for _, age := range []time.Duration{25 * time.Hour, time.Hour} {
		at := time.Now().Add(-age)
		require.NoError(t, f.catalog.AddCancellation(t.Context(), function.Cancellation{
			ID: ulid.MustNew(ulid.Timestamp(at), nil), FunctionID: demoApp().Functions[0].ID, StartedBefore: at, CreatedAt: at,
		}))
	}
	w := f.do(t, "GET", "/v1/cancellations", "")
	require.Equal(t, 200, w.Code)
	var list struct {
		Data []bulkCancellation `json:"data"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
	require.Len(t, list.Data, 1, "that of yesterday is over")
	require.Equal(t, "demo-sleeper", list.Data[0].Function)

	target := "/v1/cancellations/" + list.Data[0].ID.String()
	w = f.do(t, "DELETE", target, "")
	require.Equal(t, 204, w.Code)
	require.Empty(t, w.Body)
	w = f.do(t, "DELETE", target, "")
	require.Equal(t, 404, w.Code)
	require.JSONEq(t, `{"error":"cancellation not found","data":null,"status":404}`, w.Body.String())
	w = f.do(t, "DELETE", "/v1/cancellations/nope", "")
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"error":"Invalid cancellation ID","data":null,"status":400}`, w.Body.String())
	require.Contains(t, f.do(t, "GET", "/v1/cancellations", "").Body.String(), `{"data":[],`)
}

func TestCancellationOfARemovedFunctionIsListed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, atPresent)
	app := demoApp()
	id := app.Functions[0].ID
	require.NoError(t, f.catalog.AddCancellation(t.Context(), function.Cancellation{ID: ulid.Make(), FunctionID: id, CreatedAt: time.Now()}))
	require.Contains(t, f.do(t, "GET", "/v1/cancellations", "").Body.String(), `"function_id":"`+id.String()+`"`)
	app.Archived, app.Functions = app.Functions, nil
	f.catalog.apps = []*function.App{app}
	require.Contains(t, f.do(t, "GET", "/v1/cancellations", "").Body.String(), `"function_id":"demo-sleeper"`)
}
