package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/api/appsync"
	"jetstep/function"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apps.answer = appsync.Response{OK: true, Modified: true,
		SyncID: uuid.MustParse("6dbbb96d-fc4f-40e3-a414-e5db35aaefb1"), AppID: uuid.MustParse("8f20186b-30e2-5a81-b5cc-e2847bf30195")}
	w := f.do(t, "POST", "/fn/register", `{"appName":"x"}`, "X-Inngest-Env: branch")
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"ok":true,"modified":true,"sync_id":"6dbbb96d-fc4f-40e3-a414-e5db35aaefb1","app_id":"8f20186b-30e2-5a81-b5cc-e2847bf30195"}`+"\n", w.Body.String())
	require.Equal(t, `{"appName":"x"}`, f.apps.body)
	require.Equal(t, "branch", f.apps.header.Get("X-Inngest-Env"))
	require.Equal(t, "dev", w.Header().Get("X-Inngest-Server-Kind"))
}

// TestRefusedRegistrations are the bodies of sdk-protocol §5.3.
func TestRefusedRegistrations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err    error
		status int
		want   string
	}{
		"bare":     {&appsync.Refusal{Status: 400, Bare: true, Message: "Expected server kind cloud, got dev"}, 400, `{"error":"Expected server kind cloud, got dev"}`},
		"public":   {&appsync.Refusal{Status: 400, Message: "App ID required"}, 400, `{"error":"App ID required","data":null,"status":400}`},
		"coded":    {&appsync.Refusal{Status: 400, Code: "sdk_version_denied", Message: "App sync was blocked"}, 400, `{"code":"sdk_version_denied","error":"App sync was blocked","data":null,"status":400}`},
		"internal": {errors.New("secret detail"), 500, `{"error":"Error upserting app","data":null,"status":500}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.apps.err = fmt.Errorf("wrapped: %w", test.err)
			w := f.do(t, "POST", "/fn/register", `{}`)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.want+"\n", w.Body.String())
			require.Equal(t, test.status == 500, strings.Contains(f.log.String(), "secret detail"))
		})
	}
	f := newFixture(t)
	w := f.do(t, "POST", "/fn/register", strings.Repeat(" ", maxRegistration+1))
	require.Equal(t, 413, w.Code)
	require.Equal(t, `{"error":"Request body cannot exceed 8388608 bytes","data":null,"status":413}`+"\n", w.Body.String())
}

func TestRemove(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(t, "DELETE", "/fn/remove?url=http%3A%2F%2Fx%2Fapi", "")
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, "http://x/api", f.apps.removed)

	f.do(t, "DELETE", "/fn/remove", "url=http%3A%2F%2Fy", "Content-Type: application/x-www-form-urlencoded")
	require.Equal(t, "http://y", f.apps.removed)

	f.apps.err = fmt.Errorf("%w: http://nope", appsync.ErrAppNotFound)
	w = f.do(t, "DELETE", "/fn/remove?url=http://nope", "")
	require.Equal(t, 404, w.Code)
	require.Equal(t, `{"error":"App not found: http://nope","data":null,"status":404}`+"\n", w.Body.String())

	f.apps.err = errors.New("secret detail")
	w = f.do(t, "DELETE", "/fn/remove?url=http://nope", "")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "secret")

	require.Equal(t, 400, f.do(t, "DELETE", "/fn/remove", "%zz").Code)
	require.Equal(t, 413, f.do(t, "DELETE", "/fn/remove", strings.Repeat("x", maxForm+1)).Code)
}

func TestAppFunctions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	app := demoApp()
	f.catalog.apps = []*function.App{app}
	w := f.do(t, "GET", "/v1/apps/demo/functions", "")
	require.Equal(t, 200, w.Code)
	config, err := json.Marshal(app.Functions[0])
	require.NoError(t, err)
	require.JSONEq(t, `[{"internal_id":"1d096226-3dd8-522e-bf41-b1de71388121","env_id":"00000000-0000-0000-0000-000000000000","app_id":"`+app.ID.String()+
		`","id":"demo-sleeper","name":"sleeper","config":`+string(config)+`,"created_at":"2026-11-25T23:00:52.088477932Z","archived_at":"0001-01-01T00:00:00Z"}]`, w.Body.String())
	require.Equal(t, "[]\n", f.do(t, "GET", "/v1/apps/other/functions", "").Body.String())

	app.Name = "a/b c"
	require.Contains(t, f.do(t, "GET", "/v1/apps/a%2Fb%20c/functions", "").Body.String(), "demo-sleeper")
}

func TestDevInfo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *Config) { cfg.StartOptions = map[string]any{"poll": true} })
	f.catalog.apps = []*function.App{demoApp()}
	w := f.do(t, "GET", "/dev", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	var info map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &info))
	require.JSONEq(t, `"1.2.3"`, string(info["version"]))
	require.JSONEq(t, `false`, string(info["authed"]))
	require.JSONEq(t, `{"poll":true}`, string(info["startOpts"]))
	require.JSONEq(t, `null`, string(info["handlers"]))
	for _, key := range []string{"isSingleNodeService", "isMissingSigningKey", "isMissingEventKeys"} {
		require.JSONEq(t, `false`, string(info[key]), key)
	}
	require.Contains(t, info, "features")
	require.Contains(t, string(info["functions"]), `"slug": "demo-sleeper"`)

	f.catalog.apps = nil
	require.Contains(t, f.do(t, "GET", "/dev", "").Body.String(), `"functions": []`)

	start := newFixture(t, inStart)
	require.Equal(t, 401, start.do(t, "GET", "/dev", "").Code)
	w = start.do(t, "GET", "/dev", "", "Authorization: Bearer "+testKey)
	require.Equal(t, 404, w.Code)
	require.Equal(t, "404 page not found\n", w.Body.String())
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const fn = "1d096226-3dd8-522e-bf41-b1de71388121"
	const form = "Content-Type: application/x-www-form-urlencoded"
	for path, names := range map[string][2]string{"/fn/step-limit": {"steps ", "step"}, "/fn/state-size-limit": {"bytes ", "state size"}} {
		f := newFixture(t)
		w := f.do(t, "POST", path, "functionId="+fn+"&limit=12", form)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
		require.Equal(t, map[string]int{names[0] + fn: 12}, f.limits.set)

		for body, want := range map[string]string{
			"functionId=" + fn + "&limit=abc": "Invalid limit: abc", "functionId=" + fn + "&limit=-1": "Invalid limit: -1",
			"functionId=" + fn: "Invalid limit: ", "functionId=x&limit=1": "Invalid function ID: x",
		} {
			w = f.do(t, "POST", path, body, form)
			require.Equal(t, 400, w.Code)
			require.Equal(t, `{"error":"`+want+`","data":null,"status":400}`+"\n", w.Body.String())
		}

		require.Equal(t, 200, f.do(t, "DELETE", path, "functionId="+fn, form).Code)
		w = f.do(t, "DELETE", path+"?functionId="+fn, "")
		require.Equal(t, 404, w.Code)
		require.Equal(t, `{"error":"No `+names[1]+` limit set for function: `+fn+`","data":null,"status":404}`+"\n", w.Body.String())
		require.Equal(t, 400, f.do(t, "DELETE", path+"?functionId=x", "").Code)
		require.Equal(t, 413, f.do(t, "DELETE", path, strings.Repeat("x", maxForm+1)).Code)
		require.Equal(t, 413, f.do(t, "POST", path, strings.Repeat("x", maxForm+1)).Code)
	}
}

func TestDiscardedBodies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{"/v0/telemetry"} {
		w := f.do(t, "POST", path, `anything`)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
		require.Equal(t, 413, f.do(t, "POST", path, strings.Repeat("x", maxDiscarded+1)).Code)
	}
}
