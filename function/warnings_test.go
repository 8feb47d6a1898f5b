package function

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string][]string{
		`"retries":3`: nil,
		`"concurrency":[{"limit":1,"key":"event.data.a"}],"throttle":{"limit":1,"period":"1m","key":"event.data.a"},"priority":{"run":"600"}`: nil,
		`"singleton":{"key":"event.data.a"},"debounce":{"period":"1s","timeout":"1m"},"cancel":[{"event":"x"},{"event":"y","timeout":"1h"}]`:  nil,
		`"debounce":{"period":"1s","timeout":"soon"}`: {`the debounce timeout is ignored: time: invalid duration "soon"`},
		`"cancel":[{"event":"x","timeout":"1y"}]`: {
			`the timeout of the cancellation event 'x' is ignored, a year counts: invalid duration "1y": time: unknown unit "y" in duration "1y"`,
		},
		`"throttle":{"limit":1,"period":"1m","key":"not ( valid"}`: {
			"the throttle key 'not ( valid' has no value, all events count as having the same: error compiling expression: ERROR: <input>:1:12: Syntax error",
		},
		`"singleton":{"key":"user"}`: {"the singleton key 'user' has no value, all events count as having the same: error compiling expression: ERROR"},
		`"priority":{"run":"p"}`:     {"the priority 'p' has no value, it counts as 0: error compiling expression: ERROR"},
		`"concurrency":{"fn":[{"limit":1,"key":"a"}],"step":[{"limit":2,"key":"b"}]}`: {
			"the concurrency key 'a' has no value, all events", "the concurrency key 'b' has no value, all events",
		},
		`"concurrency":"5"`: {"the concurrency is ignored: it is no number, object or list of limits"},
		`"concurrency":0`:   {"the concurrency limit 0 is ignored, 1000 counts"},
		`"batchEvents":{"maxSize":2,"timeout":"1s"},"idempotency":"event.data.a"`: {"the rate limit is ignored for events that are batched"},
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			fn := stored(t, settings)
			got := fn.Warnings()
			require.Len(t, got, len(want), "%q", got)
			for i := range want {
				require.True(t, strings.HasPrefix(got[i], want[i]), "want %q, got %q", want[i], got[i])
			}
		})
	}
}
