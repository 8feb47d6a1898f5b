package expr

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type interpolateCase struct {
	Expr   string
	Event  map[string]any
	Result string
	Error  string
}

func TestInterpolateMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []interpolateCase
	readFixture(t, "expressions-interpolate.json", &cases)
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Expr, func(t *testing.T) {
			t.Parallel()
			got, err := Interpolate(c.Expr, map[string]any{"event": c.Event})
			if c.Error != "" {
				require.EqualError(t, err, c.Error)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, canonicalMaps(c.Result), canonicalMaps(got))
		})
	}
}

var mapToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(?:: )?|[{}\[\],]|[^"{}\[\],]+`)

// canonicalMaps sorts the characters of a text with a map literal, whose order
// the reference does not fix.
func canonicalMaps(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	tokens := mapToken.FindAllString(text, -1)
	slices.Sort(tokens)
	return strings.Join(tokens, " ")
}

func TestInterpolate(t *testing.T) {
	t.Parallel()
	event := decode(t, `{"name":"n","data":{"id":"o-9","n":5,"obj":{"b":2,"a":{"d":1,"c":true}},"tag":"x"}}`)
	cases := []struct{ name, text, want string }{
		{"maps are printed in key order", `event.data.obj == async.data.o`, `{"a": {"c": true, "d": 1.0}, "b": 2.0} == async.data.o`},
		{"inside an index", `async.data[event.data.id] == 1`, `async.data["o-9"] == 1`},
		{"inside a macro", `async.data.tags.exists(t, t == event.data.tag)`, `async.data.tags.exists(t, t == "x")`},
		{"missing against a literal on the left", `event.data.no < 5 && 5 < async.data.n`, `null < 5 && async.data.n > 5`},
		{"missing under negation", `!(event.data.no == async.data.n)`, `!(async.data.n == null)`},
		{"missing in a call stays", `event.data.no in async.data.list`, `event.data.no in async.data.list`},
		{"no event path", `async.data.x == 'y'`, `async.data.x == 'y'`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for range 3 { // the shared template must stay as it is
				got, err := Interpolate(c.text, map[string]any{"event": event})
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}
