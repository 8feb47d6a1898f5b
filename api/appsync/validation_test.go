package appsync

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// configured is a function that is valid but for what the settings override.
func configured(t *testing.T, settings string) string {
	t.Helper()
	function := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(config("flow", "ok")), &function))
	require.NoError(t, json.Unmarshal([]byte("{"+settings+"}"), &function), settings)
	text, err := json.Marshal(function)
	require.NoError(t, err)
	return string(text)
}

// stepAt is the one step of a function.
func stepAt(name, url string) string {
	return fmt.Sprintf(`"steps":{"step":{"id":"step","name":%q,"runtime":{"type":"http","url":%q}}}`, name, url)
}

// triggers is a list of that many different triggers.
func triggers(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"event":"e%d"}`, i)
	}
	return `"triggers":[` + strings.Join(list, ",") + `]`
}

// invalidSettings is the table of flow-control §5.4: what is answered with 400,
// and the reasons on the app. A reason that ends in … goes on with the text of
// an expression's compiler.
var invalidSettings = []struct {
	settings string
	reasons  []string
}{
	{`"name":""`, []string{"A function name is required"}},
	{`"steps":{}`, []string{"Functions must contain one step"}},
	{`"steps":{"a":{"name":"a","runtime":{"url":"http://x"}},"b":{"name":"b","runtime":{"url":"http://x"}}}`, []string{"Functions must contain one step"}},
	{stepAt("step", ""), []string{"No SDK URL provided for function 'ok'"}},
	{stepAt("step", "ftp://x/y"), []string{"Non-supported step schema: ftp"}},
	{stepAt("", "http://x/y"), []string{"All steps must have a name"}},
	{stepAt("step", "http://[x"), []string{"Steps must have a valid URI"}},

	{triggers(11), []string{"This function exceeds the max number of triggers: 10"}},
	{`"triggers":[{}]`, []string{"A trigger must supply an event name or a cron schedule"}},
	{`"triggers":[{"event":"a","cron":"0 9 * * *"}]`, []string{"A trigger cannot have both an event and a cron trigger"}},
	{`"triggers":[{"event":""}]`, []string{"An event trigger must specify an event name"}},
	{`"triggers":[{"event":"a"},{"event":"a"}]`, []string{"duplicate trigger event: a"}},
	{`"triggers":[{"cron":"0 9 * * *"},{"cron":"0 9 * * *","jitter":"30s"}]`, []string{"duplicate cron expression: 0 9 * * *"}},
	{`"triggers":[{"event":"` + strings.Repeat("e", 256) + `"}]`, []string{"event name is too long. maximum length is 255 characters"}},
	{`"triggers":[{"cron":"` + strings.Repeat("*", 256) + `"}]`, []string{"cron is too long. maximum length is 255 characters"}},
	{`"triggers":[{"event":"a","expression":"event.data.x = 1"}]`, []string{"invalid trigger expression on 'a': error compiling expression: ERROR: <input>:1:14: Syntax error: …"}},
	{`"triggers":[{"cron":"bad"}]`, []string{"'bad' isn't a valid cron schedule"}},
	{`"triggers":[{"cron":"@hourly"}]`, []string{"'@hourly' isn't a valid cron schedule"}},
	{`"triggers":[{"cron":"0 0 9 * * *"}]`, []string{"'0 0 9 * * *' isn't a valid cron schedule"}},
	{`"triggers":[{"cron":"TZ=Europe/Oslo"}]`, []string{"'TZ=Europe/Oslo' isn't a valid cron schedule"}}, // no answer at all from the original
	{`"triggers":[{"cron":"0 9 * * *","jitter":"soon"}]`, []string{"'soon' isn't a valid jitter duration"}},
	{`"triggers":[{"cron":"0 9 * * *","jitter":"-5s"}]`, []string{"cron jitter must be greater than or equal to zero"}},
	{`"triggers":[{"cron":"0 9 * * *","jitter":"500ms"}]`, []string{"cron jitter must be at least 1s"}},
	{`"triggers":[{"cron":"0 9 * * *","jitter":"6m"}]`, []string{"cron jitter must be less than or equal to 5m0s"}},

	{`"concurrency":[{"limit":1},{"limit":2},{"limit":3}]`, []string{"There are more concurrency limits specified than the allowed max of: 2"}},
	{`"concurrency":{"fn":[{"limit":1},{"limit":2}]}`, []string{"Only one function concurrency limit is allowed"}},
	{`"concurrency":{"fn":[{"limit":0}]}`, []string{"function concurrency limit must be > 0"}},
	{`"concurrency":{"fn":[{"limit":1,"scope":"app"}]}`, []string{"app-scoped function concurrency cannot be set by users"}},
	{`"concurrency":{"fn":[{"limit":1,"scope":"x"}]}`, []string{"invalid function concurrency scope: x"}},
	{`"concurrency":{"fn":[{"limit":1,"key":"event.data."}]}`, []string{"invalid function concurrency key 'event.data.': …"}},
	{`"concurrency":{"limit":1,"scope":"env"}`, []string{"A concurrency key must be specified for Env scoped limits"}},
	{`"concurrency":{"limit":1,"scope":"ACCOUNT"}`, []string{"A concurrency key must be specified for Account scoped limits"}},
	{`"concurrency":{"limit":1,"key":"event.data."}`, []string{"Invalid concurrency key 'event.data.': error compiling expression: …"}},

	{`"batchEvents":{"maxSize":1,"timeout":"5s"}`, []string{"batch size cannot be smaller than 2: 1"}},
	{`"batchEvents":{"maxSize":2,"timeout":"1d"}`, []string{`failed to parse time duration: time: unknown unit "d" in duration "1d"`}},
	{`"batchEvents":{"maxSize":2,"timeout":"999ms"}`, []string{"batch timeout should be more than 1s"}},
	{`"batchEvents":{"maxSize":2,"timeout":"5s","key":"event.data."}`, []string{"batch key expression is invalid: …"}},
	{`"batchEvents":{"maxSize":2,"timeout":"5s","if":"event.data."}`, []string{"conditional batch expression is invalid …"}},
	{`"batchEvents":{"maxSize":2,"timeout":"5s"},"cancel":[{"event":"x"}],"debounce":{"period":"5s"},"singleton":{"mode":"skip"},"priority":{"run":"1"}`, []string{
		"Batching and cancellation are mutually exclusive", "Batching and debouncing are mutually exclusive",
		"Batching and singletons are mutually exclusive", "A function cannot specify Priority.Run and Batch together",
	}},

	{`"rateLimit":{"limit":0,"period":"1h"}`, []string{"limit must be greater than 0"}},
	{`"rateLimit":{"limit":1}`, []string{"period must be specified"}},
	{`"rateLimit":{"limit":1,"period":"1y"}`, []string{`failed to parse time duration: time: unknown unit "y" in duration "1y"`}},
	{`"rateLimit":{"limit":1,"period":"24h1s"}`, []string{"period must be less than 24h0m0s"}},
	{`"rateLimit":{"limit":1,"period":"1h","key":"event.data."}`, []string{"key is invalid: error compiling expression: …"}},
	{`"idempotency":"event.data."`, []string{"key is invalid: error compiling expression: …"}},

	{`"debounce":{"period":"1y"}`, []string{`The debounce period of '1y' is invalid: time: unknown unit "y" in duration "1y"`, "The debounce period of '1y' is less than the min of: 1s"}},
	{`"debounce":{"period":"500ms"}`, []string{"The debounce period of '500ms' is less than the min of: 1s"}},
	{`"debounce":{"period":"8d"}`, []string{"The debounce period of '8d' is greater than the max of: 168h0m0s"}},
	{`"debounce":{"period":"5s","key":"event.data."}`, []string{"Debounce expression is invalid: …"}},
	{`"priority":{"run":"event.data."}`, []string{"Priority.Run expression is invalid: …"}},

	{`"cancel":[{"event":"a"},{"event":"a"},{"event":"a"},{"event":"a"},{"event":"a"},{"event":"a"}]`, []string{"This function exceeds the max number of cancellation events: 5"}},
	{`"cancel":[{"event":"a","if":"has(async.data.id)"}]`, []string{"Cancellation expression is invalid: validation failed: 1 error occurred:\n\t* macros are disallowed (uses 'has')\n\n"}},

	// Accepted by the original, where each execution fails.
	{`"timeouts":{"start":"soon","finish":"1y"}`, []string{
		`The start timeout of 'soon' is invalid: time: invalid duration "soon"`,
		`The finish timeout of '1y' is invalid: time: unknown unit "y" in duration "1y"`,
	}},
}

func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	for _, c := range invalidSettings {
		t.Run(c.settings[:min(len(c.settings), 70)], func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{})
			_, err := f.Register(t.Context(), nil, registrationOf("flow", configured(t, c.settings)))
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, Refusal{Status: 400, Message: "At least one function is invalid"}, *refusal)

			app := f.registry.app(t, "flow")
			require.Empty(t, app.Functions)
			rest, ok := strings.CutPrefix(app.Error, fmt.Sprintf("%d errors occurred: * ", len(c.reasons)))
			require.True(t, ok, app.Error)
			want := strings.Join(c.reasons, " * ")
			if start, open := strings.CutSuffix(want, "…"); open {
				require.True(t, strings.HasPrefix(rest, start) && len(rest) > len(start), rest)
			} else {
				require.Equal(t, want, rest)
			}
		})
	}
}

// TestUnreadableSettings is the part of flow-control §5.4 whose reason is in
// the answer.
func TestUnreadableSettings(t *testing.T) {
	t.Parallel()
	for settings, reason := range map[string]string{
		`"concurrency":{"limit":1,"scope":"galaxy"}`:           `galaxy does not belong to ConcurrencyScope values`,
		`"throttle":{"limit":1}`:                               `time: invalid duration ""`,
		`"throttle":{"limit":1,"period":"1y"}`:                 `time: unknown unit "y" in duration "1y"`,
		`"throttle":{"limit":-1,"period":"1m"}`:                `json: cannot unmarshal number -1 into Go struct field SDKFunction.functions.throttle.limit of type uint`,
		`"singleton":{"mode":"explode"}`:                       `explode does not belong to SingletonMode values`,
		`"checkpoint":{"batch_steps":1,"max_runtime":"1y"}`:    `time: unknown unit "y" in duration "1y"`,
		`"checkpoint":{"batch_steps":1,"batch_interval":"1y"}`: `time: unknown unit "y" in duration "1y"`,
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Config{})
			_, err := f.Register(t.Context(), nil, registrationOf("flow", configured(t, settings)))
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, Refusal{Status: 400, Bare: true, Message: "Invalid request: " + reason}, *refusal)
			require.Empty(t, f.registry.apps)
		})
	}
}

// TestStoredSettings is flow-control §5.2 and what §5.4 says is accepted: the
// stored bytes, and the warning of what they do not do.
func TestStoredSettings(t *testing.T) {
	t.Parallel()
	const event = `"triggers":[{"event":"flow/ok"}]`
	for settings, c := range map[string]struct {
		before, after string // the triggers, or in their place
		warning       string
	}{
		`"priority":{"run":"event.data.p"}`:        {before: `"priority":{"run":"event.data.p"},`},
		`"timeouts":{"start":"30s","finish":"5s"}`: {before: `"timeouts":{"start":"30s","finish":"5s"},`},
		`"concurrency":5`:                          {before: `"concurrency":[{"limit":5,"scope":"Fn","hash":""}],`},
		`"concurrency":[{"limit":5},{"limit":2,"key":"event.data.team","scope":"env"}]`: {
			before: `"concurrency":[{"limit":2,"key":"event.data.team","scope":"Env","hash":"trmf55laolni"},{"limit":5,"scope":"Fn","hash":""}],`,
		},
		`"concurrency":{"limit":3,"key":"\"all\"","scope":"account"}`: {before: `"concurrency":[{"limit":3,"key":"\"all\"","scope":"Account","hash":"1wu99rfh2sb9p"}],`},
		`"concurrency":{"fn":[{"limit":2,"key":"event.data.id"}],"step":[{"limit":9}]}`: {
			before: `"concurrency":{"fn":[{"limit":2,"key":"event.data.id","id":"1qli8ewrvdw7i"}],"step":[{"limit":9,"scope":"Fn","hash":""}]},`,
		},
		`"concurrency":0`:    {before: `"concurrency":[{"limit":0,"scope":"Fn","hash":""}],`, warning: "the concurrency limit 0 is ignored, 1000 counts"},
		`"concurrency":-1`:   {before: `"concurrency":[{"limit":-1,"scope":"Fn","hash":""}],`, warning: "the concurrency limit -1 is ignored, 1000 counts"},
		`"concurrency":"5"`:  {before: `"concurrency":null,`, warning: "the concurrency is ignored"},
		`"concurrency":true`: {before: `"concurrency":null,`, warning: "the concurrency is ignored"},
		`"debounce":{"period":"4s","key":"event.data.c","timeout":"20s"}`: {before: `"debounce":{"key":"event.data.c","period":"4s","timeout":"20s"},`},
		`"debounce":{"period":"4s","key":""}`:                             {before: `"debounce":{"period":"4s"},`},
		`"debounce":{"period":"4s","timeout":"soon"}`:                     {before: `"debounce":{"period":"4s","timeout":"soon"},`, warning: "the debounce timeout is ignored"},
		`"checkpoint":{"batch_steps":1,"batch_interval":"1s","max_runtime":"10s"}`: {
			before: `"checkpoint":{"batch_steps":1,"batch_interval":"1s","max_runtime":"10s"},`,
		},
		`"batchEvents":{"maxSize":3,"timeout":"4s","key":"event.data.c"}`:      {after: `"batchEvents":{"key":"event.data.c","maxSize":3,"timeout":"4s"},`},
		`"batchEvents":{"maxSize":2,"timeout":"1s"}`:                           {after: `"batchEvents":{"maxSize":2,"timeout":"1s"},`},
		`"rateLimit":{"limit":1,"period":"1h","key":"event.data.c"}`:           {after: `"rateLimit":{"limit":1,"period":"1h","key":"event.data.c"},`},
		`"rateLimit":{"limit":1,"period":"24h"}`:                               {after: `"rateLimit":{"limit":1,"period":"24h"},`},
		`"idempotency":"event.data.c","rateLimit":{"limit":9,"period":"1m"}`:   {after: `"rateLimit":{"limit":1,"period":"24h0m0s","key":"event.data.c"},`},
		`"throttle":{"limit":2,"period":"90s","burst":1,"key":"event.data.c"}`: {after: `"throttle":{"burst":1,"key":"event.data.c","limit":2,"period":"1m30s"},`},
		`"throttle":{"limit":0,"period":"36h"}`:                                {after: `"throttle":{"burst":0,"limit":1,"period":"1d12h"},`},
		`"throttle":{"limit":1,"period":"1m","key":"event.data."}`:             {after: `"throttle":{"burst":0,"key":"event.data.","limit":1,"period":"1m"},`, warning: "the throttle key 'event.data.' has no value"},
		`"cancel":[{"event":"app/stop","timeout":"1h","if":"event.data.id == async.data.id"}]`: {
			after: `"cancel":[{"event":"app/stop","timeout":"1h","if":"event.data.id == async.data.id"}],`,
		},
		`"cancel":[{"event":"app/stop","timeout":"1y"}]`: {
			after: `"cancel":[{"event":"app/stop","timeout":"1y"}],`, warning: "the timeout of the cancellation event 'app/stop' is ignored, a year counts",
		},
		`"singleton":{"key":"event.data.c","mode":"skip"}`: {after: `"singleton":{"key":"event.data.c","mode":"skip"},`},
		`"singleton":{"key":"event.data.c"}`:               {after: `"singleton":{"key":"event.data.c","mode":"skip"},`},
		`"singleton":{"key":"event.data.","mode":"cancel"}`: {
			after: `"singleton":{"key":"event.data.","mode":"cancel"},`, warning: "the singleton key 'event.data.' has no value",
		},
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			stored, logged := storedConfig(t, settings)
			require.Equal(t, `{"id":"df3cb1b3","fv":1,"name":"ok","slug":"flow-ok",`+c.before+event+","+c.after+
				`"steps":[{"id":"step","name":"step","uri":"http://localhost:3000/api/inngest?fnId=flow-ok\u0026stepId=step"}]}`, stored)
			if c.warning == "" {
				require.NotContains(t, logged, "level=WARN")
			} else {
				require.Contains(t, logged, `msg="function is configured without effect"`)
				require.Contains(t, logged, "function_id=flow-ok")
				require.Contains(t, logged, c.warning)
			}
		})
	}
}

// TestStoredTriggersAndRetries is the rest of flow-control §5.2.
func TestStoredTriggersAndRetries(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		`"triggers":[{"cron":"TZ=Europe/Oslo 0 9 * * *","jitter":"30s"},{"event":"app/cron-ok","expression":"event.data.run == true"}]`: `,"triggers":[{"cron":"TZ=Europe/Oslo 0 9 * * *","jitter":"30s"},{"event":"app/cron-ok","expression":"event.data.run == true"}],`,
		`"triggers":[]`: `,"triggers":[],`,
		`"retries":3`:   `,"retries":3}]}`,
		`"retries":21`:  `,"retries":20}]}`,
		`"retries":-1`:  `,"retries":-1}]}`,
		`"steps":{"step":{"id":"step","name":"step","runtime":{"url":"http://x"},"retries":{"attempts":0}}},"retries":3`: `,"uri":"http://x","retries":0}]}`,
		`"id":"","name":"Plain OK"`: `,"name":"Plain OK","slug":"plain-ok",`,
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			stored, _ := storedConfig(t, settings)
			require.Contains(t, stored, want)
		})
	}
}

// storedConfig registers a function and gives its stored form, with a short
// id, and what was logged.
func storedConfig(t *testing.T, settings string) (config, logged string) {
	t.Helper()
	f := newFixture(t, Config{})
	answer, err := f.Register(t.Context(), nil, registrationOf("flow", configured(t, settings)))
	require.NoError(t, err)
	require.True(t, answer.OK)
	app := f.registry.app(t, "flow")
	require.Empty(t, app.Error)
	require.Len(t, app.Functions, 1)
	text, err := json.Marshal(app.Functions[0])
	require.NoError(t, err)
	id := app.Functions[0].ID.String()
	return strings.Replace(string(text), id, "df3cb1b3", 1), f.logs.String()
}
