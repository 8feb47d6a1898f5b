package search_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/search"
)

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`event.name ==`:                      "Syntax error: mismatched input '<EOF>' expecting",
		`true`:                               "invalid syntax detected",
		`event.name`:                         "invalid syntax detected",
		`size(event.data.id) == 1`:           "invalid syntax detected",
		`event.name.startsWith("a")`:         "invalid syntax detected",
		`event.data["id"] == "1"`:            "invalid syntax detected",
		`event.data.a == event.data.b`:       "invalid syntax detected",
		`event.data.a == b"x"`:               "invalid syntax detected",
		`!(true)`:                            "invalid syntax detected",
		`event.data.list.exists(x, x == 1)`:  "macros are currently not supported",
		`has(event.data.list)`:               "macros are currently not supported",
		`event.data.list.map(x, x) == 1`:     "macros are currently not supported",
		`event.ts == "x"`:                    "expects 'event.ts' to be an integer: x",
		`event.name == 5`:                    "expects 'event.name' to be a string: 5",
		`event.name == "a" && event.id == 5`: "expects 'event.id' to be a string: 5",
		`event.data.a > "x"`:                 "unsupported string operator: _>_",
		`event.data.a >= true`:               "unsupported boolean operator: _>=_",
		`output.a < null`:                    "unsupported null operator: _<_ (only == and != are supported for null)",
		strings.Repeat("(", 200) + "true":    "expression recursion limit exceeded",
		`event.name == "` + strings.Repeat("x", 20_000) + `"`: "query is longer than 16384 bytes",
	} {
		_, err := search.Parse(query)
		require.ErrorContains(t, err, want, query[:min(len(query), 80)])
	}
	_, err := search.Parse("event.name ==")
	require.ErrorContains(t, err, "\n | event.name ==\n", "the line is shown")
}

// run is what the queries below look at.
var run = search.Record{
	Events: []search.Event{
		{ID: "e1", Name: "plain/simple", Time: 1000, Data: json.RawMessage(`{"name":"a","idx":6,"b":true,"b2":false,"n":null,"o":{"deep":1},"half":0.5}`)},
		{ID: "e2", Name: "plain/other", Version: ptr("1"), Time: 2000, Data: json.RawMessage(`{"idx":7}`)},
	},
	Outputs: []json.RawMessage{json.RawMessage(`{"data":{"num":12}}`), json.RawMessage(`{"error":{"message":"fail"}}`), json.RawMessage(`nonsense`)},
}

func ptr(s string) *string { return &s }

func TestMatches(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		``:                                    true,
		`event.name == 'plain/simple'`:        true,
		`"plain/simple" == event.name`:        true,
		`event.name == "x"`:                   false,
		`event.id == "e2" && event.v == "1"`:  true,
		`event.id == "e1" && event.v != "1"`:  false, // it has none
		`event.v != "2"`:                      true,
		`event.ts >= 1000 && event.ts < 1001`: true,
		`event.ts > 2000`:                     false,
		`2000 < event.ts`:                     false,
		`2000 <= event.ts`:                    true,
		"event.name == 'plain/simple'\nevent.data.idx > 5":      true,
		"event.name == 'plain/simple'\n\nevent.data.idx > 6":    false, // one event must fulfil both
		`event.data.idx >= 0`:                                   true,
		`event.data.idx == 6.0`:                                 true,
		`event.data.half == 0.5`:                                true,
		`event.data.idx == 6u`:                                  true,
		`event.data.idx != 6 && event.id == "e1"`:               false,
		`event.data.name > 5`:                                   false,
		`event.data.name != 5`:                                  true,
		`event.data.b == true`:                                  true,
		`event.data.b2 == false`:                                true,
		`event.data.b2 == true`:                                 false,
		`event.data.n == null`:                                  true,
		`event.data.b == null`:                                  false,
		`event.data.b != null`:                                  true,
		`event.data.nope == null`:                               false,
		`event.data.nope != null`:                               false,
		`!(event.data.nope == "x")`:                             false, // unknown, not false
		`!(event.name == "plain/simple")`:                       true,  // the other event
		`event.data.o.deep == 1`:                                true,
		`event.data.o == "x"`:                                   false,
		`event.data.o != "x"`:                                   true,
		`event.data.name.deep == "x"`:                           false,
		`event.data.name == "x" || event.name == "plain/other"`: true,
		`event.data.nope == 1 || event.data.idx == 6`:           true,
		`event.data.nope == 1 || event.data.idx == 1`:           false,
		`event.data.nope == 1 && event.data.idx == 1`:           false,
		`output.num > 11`:                                       true,
		`output.num > 12`:                                       false,
		`error.message == "fail"`:                               true,
		`output.num == 12 && error.message == "fail"`:           false, // never of one output
		`foo.bar == 1`:                                          true,
		`output == "woke"`:                                      true,
		`event.data == "x"`:                                     true,
		`event.name.deep == "x"`:                                true,
		`event.name > "a"`:                                      true,
		`foo.bar == 1 && event.name == "x"`:                     false,
		`!(foo.bar == 1)`:                                       true,
		`foo.bar == 1 || foo.baz == 2`:                          true,
		`event.data.name == "a" && error.message == "fail"`:     true,
	} {
		q, err := search.Parse(query)
		require.NoError(t, err, query)
		require.Equal(t, want, q.Matches(run), query)
	}
}

func TestWhatIsLookedAt(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][2]bool{
		``:                              {false, false},
		`foo == 1`:                      {false, false},
		`!(event.name == "a")`:          {true, false},
		`output.a == 1 || error.b == 2`: {false, true},
		"event.ts > 1\noutput.a == 1":   {true, true},
	} {
		q, err := search.Parse(query)
		require.NoError(t, err)
		require.Equal(t, want, [2]bool{q.UsesEvents(), q.UsesOutputs()}, query)
	}
	q, err := search.Parse(`event.name == "a"`)
	require.NoError(t, err)
	require.False(t, q.Matches(search.Record{}), "without events there is nothing to match")
}

// FuzzParse checks that no text makes the parser panic, and that what it
// accepts can be evaluated.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`event.name == "a"`, `!(output.a > 1) || event.ts < 5`, `[1].exists(x, x)`, "a\n==", `-1 < event.data.x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := search.Parse(text); err == nil {
			q.Matches(run)
		}
	})
}
