package function

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withSettings is a function that is valid but for what the settings override.
func withSettings(t *testing.T, settings string) string {
	t.Helper()
	function := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(`{"name":"F","triggers":[],`+step+`}`), &function))
	require.NoError(t, json.Unmarshal([]byte(`{`+settings+`}`), &function))
	data, err := json.Marshal(function)
	require.NoError(t, err)
	return string(data)
}

func oneStep(name, url string) string {
	return fmt.Sprintf(`"steps":{"step":{"id":"step","name":%q,"runtime":{"url":%q}}},"name":"ok"`, name, url)
}

// The messages captured in flow-control §5.4 and sdk-protocol §6.2.
func TestValidationMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	cases := []struct {
		settings string
		want     []string
	}{
		{`"name":""`, []string{"A function name is required"}},
		{`"steps":{}`, []string{"Functions must contain one step"}},
		{`"steps":{"a":{"name":"a","runtime":{"url":"http://x"}},"b":{"name":"b","runtime":{"url":"http://x"}}}`, []string{"Functions must contain one step"}},
		{oneStep("step", ""), []string{"No SDK URL provided for function 'ok'"}},
		{oneStep("step", "ftp://x/y"), []string{"Non-supported step schema: ftp"}},
		{oneStep("", "ws://x/y"), []string{"All steps must have a name"}},
		{oneStep("step", "http://[x"), []string{"Steps must have a valid URI"}},

		{`"triggers":[` + strings.Repeat(`{"cron":"* * * * *"},`, 10) + `{"event":"e"}]`, append([]string{"This function exceeds the max number of triggers: 10"},
			strings.Split(strings.Repeat("duplicate cron expression: * * * * *;", 9), ";")[:9]...)},
		{`"triggers":[{}]`, []string{"A trigger must supply an event name or a cron schedule"}},
		{`"triggers":[{"event":"a","cron":"* * * * *"}]`, []string{"A trigger cannot have both an event and a cron trigger"}},
		{`"triggers":[{"event":""}]`, []string{"An event trigger must specify an event name"}},
		{`"triggers":[{"event":"a"},{"event":"a","expression":"true"}]`, []string{"duplicate trigger event: a"}},
		{`"triggers":[{"cron":"0 9 * * *"},{"cron":"0 9 * * *","jitter":"5s"}]`, []string{"duplicate cron expression: 0 9 * * *"}},
		{`"triggers":[{"event":"` + long + `"}]`, []string{"event name is too long. maximum length is 255 characters"}},
		{`"triggers":[{"cron":"` + long + `"}]`, []string{"cron is too long. maximum length is 255 characters"}},
		{`"triggers":[{"event":"a","expression":"event.data.x = 1"}]`, []string{"invalid trigger expression on 'a': error compiling expression: ERROR: <input>:1:14: Syntax error"}},
		{`"triggers":[{"cron":"@hourly"}]`, []string{"'@hourly' isn't a valid cron schedule"}},

		{`"concurrency":[1,2,3]`, nil},
		{`"concurrency":[{"limit":1},{"limit":2},{"limit":3}]`, []string{"There are more concurrency limits specified than the allowed max of: 2"}},
		{`"concurrency":{"fn":[{"limit":1},{"limit":2}]}`, []string{"Only one function concurrency limit is allowed"}},
		{`"concurrency":{"fn":[{"limit":0}]}`, []string{"function concurrency limit must be > 0"}},
		{`"concurrency":{"fn":[{"limit":1,"scope":"app"}]}`, []string{"app-scoped function concurrency cannot be set by users"}},
		{`"concurrency":{"fn":[{"limit":1,"scope":"x"}]}`, []string{"invalid function concurrency scope: x"}},
		{`"concurrency":{"fn":[{"limit":1,"key":"a."}]}`, []string{"invalid function concurrency key 'a.': error compiling expression: "}},
		{`"concurrency":{"limit":1,"scope":"env"}`, []string{"A concurrency key must be specified for Env scoped limits"}},
		{`"concurrency":{"limit":1,"key":"event.data."}`, []string{"Invalid concurrency key 'event.data.': error compiling expression: "}},

		{`"batchEvents":{"maxSize":1,"timeout":"1s"}`, []string{"batch size cannot be smaller than 2: 1"}},
		{`"batchEvents":{"maxSize":2,"timeout":"1d"}`, []string{`failed to parse time duration: time: unknown unit "d" in duration "1d"`}},
		{`"batchEvents":{"maxSize":2,"timeout":"999ms"}`, []string{"batch timeout should be more than 1s"}},
		{`"batchEvents":{"maxSize":2,"timeout":"1s","key":"foo","if":"bar"}`, []string{
			"batch key expression is invalid: error compiling expression: ", "conditional batch expression is invalid error compiling expression: ",
		}},
		{`"batchEvents":{"maxSize":2,"timeout":"1s"},"cancel":[{"event":"x"}],"debounce":{"period":"5s"},"singleton":{},"priority":{"run":"1"}`, []string{
			"Batching and cancellation are mutually exclusive", "Batching and debouncing are mutually exclusive",
			"Batching and singletons are mutually exclusive", "A function cannot specify Priority.Run and Batch together",
		}},

		{`"rateLimit":{"limit":0,"period":"1h"}`, []string{"limit must be greater than 0"}},
		{`"rateLimit":{"limit":1}`, []string{"period must be specified"}},
		{`"rateLimit":{"limit":1,"period":"1y"}`, []string{`failed to parse time duration: time: unknown unit "y" in duration "1y"`}},
		{`"rateLimit":{"limit":1,"period":"25h"}`, []string{"period must be less than 24h0m0s"}},
		{`"rateLimit":{"limit":1,"period":"0s"}`, []string{"period must be greater than 0"}},
		{`"idempotency":"foo"`, []string{"key is invalid: error compiling expression: "}},

		{`"debounce":{"period":"1y"}`, []string{`The debounce period of '1y' is invalid: time: unknown unit "y" in duration "1y"`, "The debounce period of '1y' is less than the min of: 1s"}},
		{`"debounce":{"period":"500ms"}`, []string{"The debounce period of '500ms' is less than the min of: 1s"}},
		{`"debounce":{"period":"8d"}`, []string{"The debounce period of '8d' is greater than the max of: 168h0m0s"}},
		{`"debounce":{"period":"1s","key":"foo"}`, []string{"Debounce expression is invalid: error compiling expression: "}},

		{`"priority":{"run":"event.data."}`, []string{"Priority.Run expression is invalid: error compiling expression: "}},
		{`"cancel":[` + strings.TrimSuffix(strings.Repeat(`{"event":"x"},`, 6), ",") + `]`, []string{"This function exceeds the max number of cancellation events: 5"}},
		{`"cancel":[{"event":"x","if":"has(event.data.a)"}]`, []string{"Cancellation expression is invalid: validation failed: 1 error occurred:\n\t* macros are disallowed (uses 'has')\n\n"}},
		{`"timeouts":{"start":"soon","finish":"1y"}`, []string{"The start timeout of 'soon' is invalid: ", "The finish timeout of '1y' is invalid: "}},
	}
	for _, c := range cases {
		t.Run(c.settings[:min(len(c.settings), 60)], func(t *testing.T) {
			t.Parallel()
			body := `{"functions":[` + withSettings(t, c.settings) + `]}`
			r, err := ParseRegistration([]byte(body))
			if c.want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			_, err = r.Functions()
			var invalid *ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Problems, len(c.want), "%v", invalid)
			for i, want := range c.want {
				require.True(t, strings.HasPrefix(invalid.Problems[i].Message, want), "want %q, got %q", want, invalid.Problems[i].Message)
			}
		})
	}
}

func TestCronRegistrationMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []struct{ Expr, Jitter, Register string }
	readFixture(t, "cron.json", &cases)
	for _, c := range cases {
		f := Function{Name: "F", Steps: []Step{{Name: "step", URI: "http://x"}}, Triggers: []Trigger{{Cron: c.Expr, Jitter: c.Jitter}}}
		err := f.Validate()
		switch {
		case c.Expr == "":
			require.ErrorContains(t, err, "A trigger must supply an event name or a cron schedule")
		case strings.HasPrefix(c.Register, "PANIC"):
			require.ErrorContains(t, err, "isn't a valid cron schedule", "the reference crashes here")
		case c.Register == "ok":
			require.NoError(t, err, "%+v", c)
		default:
			require.EqualError(t, err, "1 errors occurred: * "+c.Register)
		}
	}
}

func TestValidationErrorCollectsAll(t *testing.T) {
	t.Parallel()
	r, err := ParseRegistration([]byte(`{"functions":[` + withSettings(t, `"id":"a","steps":{}`) + `,` + withSettings(t, `"id":"b"`) + `,` +
		withSettings(t, `"id":"c","batchEvents":{"maxSize":0,"timeout":"1s"}`) + `]}`))
	require.NoError(t, err)
	_, err = r.Functions()
	require.EqualError(t, err, "2 errors occurred: * Functions must contain one step * batch size cannot be smaller than 2: 0")
	var invalid *ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, []Problem{
		{Function: "a", Message: "Functions must contain one step"},
		{Function: "c", Code: "batch_size_invalid", Message: "batch size cannot be smaller than 2: 0"},
	}, invalid.Problems)
}

func TestAcceptedConfigurations(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{
		`"concurrency":{"limit":1,"key":"unknown.name"}`,
		`"priority":{"run":"unknown + 1"}`,
		`"rateLimit":{"limit":1,"period":"24h"}`,
		`"batchEvents":{"maxSize":2,"timeout":"1s"}`,
		`"debounce":{"period":"1s","timeout":"whatever"}`,
		`"singleton":{"key":"not ( valid","mode":"SKIP"}`,
		`"cancel":[{"event":"x","timeout":"2026-03-04T05:06:07Z","if":"event.data.a == async.data.a"}]`,
		`"cancel":[{"event":"x","timeout":"1y"}]`,
		`"timeouts":{"finish":"2w"}`,
	} {
		stored(t, settings)
	}
}
