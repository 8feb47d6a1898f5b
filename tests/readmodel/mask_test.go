package readmodel_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// masks are what differs between two runs of the same function, in any text.
// Ids of steps are hashes of their names: these stay.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b`), "<ulid>"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "<time>"},
	{regexp.MustCompile(`\b(localhost|127\.0\.0\.1):\d+`), "<host>"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "<trace>"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "<span>"},
	{regexp.MustCompile(`\n    at [^\n]*`), ""},
}

// measured are kinds of metadata that tell how long a request took; spans of
// ours have none.
var measured = []any{"inngest.timing", "inngest.http.timing", "inngest.usage"}

// masked is a value of JSON without ids, times and measurements; what is absent
// stays absent.
func masked(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return maskedObject(v)
	case []any:
		all := []any{}
		for _, item := range v {
			if object, ok := item.(map[string]any); !ok || !slices.Contains(measured, object["kind"]) {
				all = append(all, masked(item))
			}
		}
		return all
	case string:
		return maskedText(v)
	case float64:
		if v > 1e12 { // milliseconds since 1970
			return "<ms>"
		}
	}
	return value
}

func maskedObject(object map[string]any) map[string]any {
	result := map[string]any{}
	for key, value := range object {
		switch {
		case value == nil:
			result[key] = nil
		case key == "outputID":
			result[key] = maskedOutputID(value.(string))
		case key == "durationMs": // is left out when it is 0
		case key == "duration" || strings.Contains(strings.ToLower(key), "cursor"):
			result[key] = "<" + key + ">"
		default:
			result[key] = masked(value)
		}
	}
	if info, ok := result["stepInfo"].(map[string]any); ok {
		maskDeadlines(info, object)
	}
	if list, ok := result["metadata"].([]any); ok && len(list) == 0 {
		delete(result, "metadata") // as where there is none
	}
	return result
}

// maskDeadlines puts how long after the span was queued something is due in
// place of when, to the second.
func maskDeadlines(masked, span map[string]any) {
	for _, key := range []string{"sleepUntil", "timeout"} {
		due, isTime := span["stepInfo"].(map[string]any)[key].(string)
		queued, isQueued := span["queuedAt"].(string)
		if isTime && isQueued {
			masked[key] = fmt.Sprintf("%v s later", math.Round(timeOf(due).Sub(timeOf(queued)).Seconds()))
		}
	}
}

func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err) // an API's own time
	}
	return at
}

func maskedText(text string) any {
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		var inner any
		if json.Unmarshal([]byte(text), &inner) == nil {
			return masked(inner)
		}
	}
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.with)
	}
	return text
}

// maskedOutputID says what can be asked for with the id.
func maskedOutputID(id string) string {
	content, err := base64.StdEncoding.DecodeString(id)
	if err != nil {
		return err.Error()
	}
	var fields struct {
		Input   string `json:"in_sid"`
		Preview bool   `json:"preview"`
	}
	if err := json.Unmarshal(content, &fields); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("output, with input %v, preview %v", fields.Input != "", fields.Preview)
}
