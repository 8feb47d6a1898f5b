package function

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// step is the step that SDKs send, for a function of any id.
const step = `"steps":{"step":{"id":"step","name":"step","runtime":{"type":"http","url":"http://127.0.0.1:18101/api/inngest?fnId=f&stepId=step"}}}`

// register parses a registration of one function.
func register(t *testing.T, function string) *Registration {
	t.Helper()
	r, err := ParseRegistration([]byte(`{"appName":"app","functions":[` + function + `]}`))
	require.NoError(t, err)
	return r
}

// stored is the stored form of a function with these settings.
func stored(t *testing.T, settings string) Function {
	t.Helper()
	functions, err := register(t, `{"id":"f","name":"F","triggers":[{"event":"a"}],`+step+`,`+settings+`}`).Functions()
	require.NoError(t, err)
	require.Len(t, functions, 1)
	return functions[0]
}

func TestParseRegistration(t *testing.T) {
	t.Parallel()
	body := `{"url":"http://127.0.0.1:18101/api/inngest?deployId=1","DeployType":"ping","framework":"nodejs","appname":"cap-app","appVersion":"7",
	"functions":[{"id":"cap-app-hello","name":"hello","Singleton":null,"triggers":[{"event":"cap/hello"}],` + step + `}],
	"sdk":"js:v4.24.0","v":"0.1","unknown":1,"capabilities":{"trust_probe":"v1","connect":"v1"},"featureObservations":{"sendEvents":{"x":1}}}`
	r, err := ParseRegistration([]byte(body))
	require.NoError(t, err)
	require.Equal(t, "js", r.Language())
	require.Equal(t, "v4.24.0", r.Version())
	require.False(t, r.IsConnect())
	require.Equal(t, Capabilities{TrustProbe: "v1", Connect: "v1"}, r.Capabilities)

	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	app := r.App("", "vercel", now)
	require.Equal(t, App{
		ID: AppID("cap-app"), Name: "cap-app", URL: "http://localhost:18101/api/inngest",
		SDKLanguage: "js", SDKVersion: "v4.24.0", Framework: "nodejs", Platform: "vercel", AppVersion: "7", Method: MethodServe,
		Checksum: r.Checksum("", "vercel"), Metadata: json.RawMessage(`{"sendEvents":{"x":1}}`),
		CreatedAt: now, SyncedAt: now, Functions: []Function{},
	}, app)
	require.Equal(t, "8f20186b-30e2-5a81-b5cc-e2847bf30195", app.ID.String())

	r.DeployType = "connect"
	require.Equal(t, MethodConnect, r.App("", "", now).Method)
}

func TestParseRegistrationErrors(t *testing.T) {
	t.Parallel()
	wrap := func(settings string) string { return `{"functions":[{"name":"F",` + settings + `}]}` }
	cases := []struct{ body, want string }{
		{`{n`, `Invalid request: invalid character 'n' looking for beginning of object key string`},
		{wrap(`"throttle":{"limit":1}`), `Invalid request: time: invalid duration ""`},
		{wrap(`"throttle":{"limit":1,"period":"1y"}`), `Invalid request: time: unknown unit "y" in duration "1y"`},
		{wrap(`"singleton":{"mode":"explode"}`), `Invalid request: explode does not belong to SingletonMode values`},
		{wrap(`"concurrency":[{"limit":1,"scope":"galaxy"}]`), `Invalid request: galaxy does not belong to ConcurrencyScope values`},
		{wrap(`"checkpoint":{"max_runtime":"1y"}`), `Invalid request: time: unknown unit "y" in duration "1y"`},
	}
	for _, c := range cases {
		_, err := ParseRegistration([]byte(c.body))
		require.EqualError(t, err, c.want, c.body)
		var request *RequestError
		require.ErrorAs(t, err, &request)
	}
	_, err := ParseRegistration([]byte(wrap(`"throttle":{"limit":-1,"period":"1m"}`)))
	require.ErrorContains(t, err, "Invalid request: json: cannot unmarshal number -1 into Go struct field")
	empty, err := ParseRegistration([]byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, empty.AppName)
	functions, err := empty.Functions()
	require.NoError(t, err)
	require.Empty(t, functions)
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	base := register(t, `{"id": "f", "name":"F"}`)
	require.Regexp(t, `^[0-9a-f]{64}$`, base.Checksum("", ""))
	require.Equal(t, base.Checksum("", ""), register(t, "{ \"id\":\"f\",\n\"name\":\"F\"}").Checksum("", ""), "space does not matter")
	require.NotEqual(t, base.Checksum("", ""), register(t, `{"id":"f","name":"G"}`).Checksum("", ""))
	require.NotEqual(t, base.Checksum("", ""), base.Checksum("e", ""))
	require.NotEqual(t, base.Checksum("e", ""), base.Checksum("", "e"))

	observed, err := ParseRegistration([]byte(`{"appName":"app","functions":[{"id":"f","name":"F"}],"featureObservations":{"a":1}}`))
	require.NoError(t, err)
	require.Equal(t, base.Checksum("", ""), observed.Checksum("", ""), "observations do not count")
}

// The function that sdk-protocol §6.3 shows in its captured stored form.
func TestStoredFormMatchesCapture(t *testing.T) {
	t.Parallel()
	sent := `{"id":"cap-app-full-config","name":"Full Config",
	"triggers":[{"event":"cap/fc","expression":"event.data.a == 1"},{"cron":"0 0 1 1 *"},{"event":"cap/fc.*"}],
	"steps":{"step":{"id":"step","name":"step","runtime":{"type":"http","url":"http://127.0.0.1:18101/api/inngest?stepId=step&fnId=cap-app-full-config"},"retries":{"attempts":7}}},
	"concurrency":[{"limit":5},{"limit":2,"key":"event.data.id","scope":"account"}],"priority":{"run":"event.data.p"},
	"rateLimit":{"limit":10,"period":"1h","key":"event.data.r"},"throttle":{"limit":3,"period":"1m","burst":2,"key":"event.data.t"},
	"debounce":{"period":"5s","key":"event.data.d","timeout":"1m"},"timeouts":{"start":"10m","finish":"1h"},
	"cancel":[{"event":"cap/cancel","timeout":"1h","if":"async.data.a == event.data.a"},{"event":"cap/cancel2","if":"event.data.a == async.data.a"}],
	"singleton":{"mode":"cancel","key":"event.data.s"}}`
	want := `{"id":"a25f717b-6bf9-522c-807d-907897e8ad14","fv":1,"name":"Full Config","slug":"cap-app-full-config","priority":{"run":"event.data.p"},"timeouts":{"start":"10m","finish":"1h"},"concurrency":[{"limit":2,"key":"event.data.id","scope":"Account","hash":"1qli8ewrvdw7i"},{"limit":5,"scope":"Fn","hash":""}],"debounce":{"key":"event.data.d","period":"5s","timeout":"1m"},"triggers":[{"event":"cap/fc","expression":"event.data.a == 1"},{"cron":"0 0 1 1 *"},{"event":"cap/fc.*"}],"rateLimit":{"limit":10,"period":"1h","key":"event.data.r"},"throttle":{"burst":2,"key":"event.data.t","limit":3,"period":"1m"},"cancel":[{"event":"cap/cancel","timeout":"1h","if":"async.data.a == event.data.a"},{"event":"cap/cancel2","if":"event.data.a == async.data.a"}],"singleton":{"key":"event.data.s","mode":"cancel"},"steps":[{"id":"step","name":"step","uri":"http://localhost:18101/api/inngest?fnId=cap-app-full-config&stepId=step","retries":7}]}`
	functions, err := register(t, sent).Functions()
	require.NoError(t, err)
	data, err := json.Marshal(functions[0])
	require.NoError(t, err)
	require.Equal(t, want, strings.ReplaceAll(string(data), `\u0026`, "&"))

	var again Function
	require.NoError(t, json.Unmarshal(data, &again))
	require.Equal(t, functions[0], again, "the stored form can be read back")
	require.NoError(t, again.Validate())
	require.True(t, again.hasFlowControl())
	require.Equal(t, 7, again.Retries())
}

func TestNormalisations(t *testing.T) {
	t.Parallel()
	cases := []struct{ settings, want string }{
		{`"concurrency":5`, `"concurrency":[{"limit":5,"scope":"Fn","hash":""}]`},
		{`"concurrency":{"limit":3,"key":"\"all\"","scope":"ACCOUNT"}`, `"concurrency":[{"limit":3,"key":"\"all\"","scope":"Account","hash":"1wu99rfh2sb9p"}]`},
		{`"concurrency":{"fn":[{"limit":2,"key":"event.data.id"}],"step":[{"limit":9}]}`, `"concurrency":{"fn":[{"limit":2,"key":"event.data.id","id":"1qli8ewrvdw7i"}],"step":[{"limit":9,"scope":"Fn","hash":""}]}`},
		{`"concurrency":0`, `"concurrency":[{"limit":0,"scope":"Fn","hash":""}]`},
		{`"concurrency":"many"`, `"concurrency":null`},
		{`"debounce":{"period":"4s","key":""}`, `"debounce":{"period":"4s"}`},
		{`"batchEvents":{"maxSize":3,"timeout":"4s","key":"event.data.c"}`, `"batchEvents":{"key":"event.data.c","maxSize":3,"timeout":"4s"}`},
		{`"idempotency":"event.data.c","rateLimit":{"limit":9,"period":"1m"}`, `"rateLimit":{"limit":1,"period":"24h0m0s","key":"event.data.c"}`},
		{`"throttle":{"limit":0,"period":"90s"}`, `"throttle":{"burst":0,"limit":1,"period":"1m30s"}`},
		{`"throttle":{"limit":2,"period":"36h","key":"not ( valid"}`, `"throttle":{"burst":0,"key":"not ( valid","limit":2,"period":"1d12h"}`},
		{`"singleton":{"key":"event.data.c"}`, `"singleton":{"key":"event.data.c","mode":"skip"}`},
		{`"checkpoint":{"batch_steps":1,"batch_interval":"1s","max_runtime":10}`, `"checkpoint":{"batch_steps":1,"batch_interval":"1s","max_runtime":10}`},
		{`"retries":3`, `"retries":3`},
		{`"retries":50`, `"retries":20`},
		{`"retries":-1`, `"retries":-1`},
	}
	for _, c := range cases {
		data, err := json.Marshal(stored(t, c.settings))
		require.NoError(t, err)
		require.Contains(t, string(data), c.want, c.settings)
	}

	functions, err := register(t, `{"name":"Héllo, World 2!","steps":{"x":{"id":"x","name":"x","runtime":{"url":"https://example.com:443/x"},"retries":{"attempts":0}}},"retries":9}`).Functions()
	require.NoError(t, err)
	require.Equal(t, "héllo-world-2", functions[0].Slug)
	require.Equal(t, "https://example.com/x", functions[0].URI())
	require.Zero(t, functions[0].Retries(), "the step's own retries count first")
	require.Equal(t, FunctionID("Héllo, World 2!", "https://example.com/x"), functions[0].ID)
	data, err := json.Marshal(functions[0])
	require.NoError(t, err)
	require.Contains(t, string(data), `"triggers":[]`)
}

func TestFunctionDefaults(t *testing.T) {
	t.Parallel()
	var f Function
	require.Equal(t, DefaultRetries, f.Retries())
	require.Empty(t, f.URI())
	require.False(t, f.hasFlowControl())
	f.Concurrency = &Concurrency{}
	require.False(t, f.hasFlowControl(), "no limit is no flow control")
	f.Driver = &Driver{URI: "http://x"}
	require.Equal(t, "http://x", f.URI())
}

func TestBlockedSDK(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"v3.22.0": true, "3.53.1": true, "v3.40.9": true, "v3.53.1-beta.1": true, "v3.30.0+build": true,
		"v3.21.9": false, "v3.54.0": false, "v3.53.2": false, "v4.0.0": false, "v2.99.99": false, "": false, "vx.y.z": false, "v3.30": false,
	} {
		message, blocked := BlockedSDK("js", version)
		require.Equal(t, want, blocked, version)
		require.Equal(t, want, strings.Contains(message, "v3.54.0 or later"), version)
	}
	_, blocked := BlockedSDK("inngest-js", "v3.30.0")
	require.True(t, blocked)
	_, blocked = BlockedSDK("go", "v3.30.0")
	require.False(t, blocked)
}
