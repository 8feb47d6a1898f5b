package state

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFit(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("<x>", 100) + `"`
	event := `{"data":{"n":` + large + `},"id":"e1","name":"a","ts":1,"user":{}}`
	whole := `{"_inngest":{"status":"Failed"},"error":{"message":` + large + `},"event":` + event + `,"events":[` + event +
		`],"function_id":"f","result":` + large + `,"run_id":"r"}`
	tests := map[string]struct {
		limit int
		want  string
	}{
		"it fits":         {len(whole), whole},
		"events go first": {len(whole) - 1, `{"_inngest":{"omitted":["events"],"status":"Failed"},"error":{"message":` + large + `},"event":` + event + `,"events":null,"function_id":"f","result":` + large + `,"run_id":"r"}`},
		"then the result": {900, `{"_inngest":{"omitted":["events","result"],"status":"Failed"},"error":{"message":` + large + `},"event":` + event + `,"events":null,"function_id":"f","result":null,"run_id":"r"}`},
		"then the event":  {600, `{"_inngest":{"omitted":["events","result","event"],"status":"Failed"},"error":{"message":` + large + `},"event":{"id":"e1","name":"a","ts":1},"events":null,"function_id":"f","result":null,"run_id":"r"}`},
		"then the error":  {400, `{"_inngest":{"omitted":["events","result","event","error"],"status":"Failed"},"error":null,"event":{"id":"e1","name":"a","ts":1},"events":null,"function_id":"f","result":null,"run_id":"r"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := SentEvent{Data: json.RawMessage(whole)}
			e.Fit(test.limit)
			require.Equal(t, test.want, string(e.Data))
			require.LessOrEqual(t, len(e.Data), test.limit)
		})
	}
	e := SentEvent{Data: json.RawMessage(`[1,2,3]`)}
	e.Fit(1)
	require.Equal(t, `[1,2,3]`, string(e.Data), "what has no fields stays")
}
