package api

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestPauseFunction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.catalog.apps = []*function.App{demoApp()}
	shows := func(paused bool) {
		t.Helper()
		for target, text := range map[string]string{
			"/dev":                    `"isPaused": true`,
			"/v1/apps/demo/functions": `"is_paused":true`,
			"/":                       `>paused<`,
		} {
			body := f.do(t, "GET", target, "").Body.String()
			require.Contains(t, body, "demo-sleeper", target)
			if paused {
				require.Contains(t, body, text, target)
			} else {
				require.NotContains(t, body, "aused", target)
			}
		}
	}
	shows(false)
	for _, c := range []struct {
		target string
		paused bool
		answer string
	}{
		{"/v1/functions/demo-sleeper/pause", true, "true"},
		{"/v1/functions/demo-sleeper/pause", true, "true"}, // again
		{"/v1/functions/1d096226-3dd8-522e-bf41-b1de71388121/unpause", false, "false"},
	} {
		w := f.do(t, "POST", c.target, "")
		require.Equal(t, 200, w.Code)
		require.Equal(t, `{"data":{"internal_id":"1d096226-3dd8-522e-bf41-b1de71388121","id":"demo-sleeper","name":"sleeper","is_paused":`+c.answer+`},`+
			`"metadata":{"fetched_at":"2026-11-25T23:00:52.088477932Z"}}`+"\n", w.Body.String())
		shows(c.paused)
	}
}

func TestPauseFunctionFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.catalog.apps = []*function.App{demoApp()}
	w := f.do(t, "POST", "/v1/functions/nope/pause", "")
	require.Equal(t, 404, w.Code)
	require.JSONEq(t, `{"error":"function not found","data":null,"status":404}`, w.Body.String())
	require.Equal(t, 405, f.do(t, "GET", "/v1/functions/demo-sleeper/pause", "").Code)

	f.catalog.err = errors.New("disk is full")
	require.Equal(t, 500, f.do(t, "POST", "/v1/functions/demo-sleeper/pause", "").Code)
	require.Equal(t, 500, f.do(t, "POST", "/v1/cancellations",
		`{"app_id":"demo","function_id":"demo-sleeper","started_before":"2026-11-25T23:00:00Z"}`).Code)
}

func TestControlsNeedTheKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	f.catalog.apps = []*function.App{demoApp()}
	for _, c := range [][2]string{
		{"POST", "/v1/functions/demo-sleeper/pause"}, {"POST", "/v1/functions/demo-sleeper/unpause"},
		{"POST", "/v1/cancellations"}, {"GET", "/v1/cancellations"}, {"DELETE", "/v1/cancellations/" + eventText},
	} {
		require.Equal(t, 401, f.do(t, c[0], c[1], "").Code, c)
	}
	require.Equal(t, 200, f.do(t, "POST", "/v1/functions/demo-sleeper/pause", "", "Authorization: Bearer "+testKey).Code)
}
