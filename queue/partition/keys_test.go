package partition

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

const keyEvent = `{"data":{"c":"x","n":12345678,"yes":true,"no":false,"p":120,"half":1.5,"nil":null},"name":"e","ts":1700000000123}`

// flow-control §14.1 says what the texts are; a missing field is no false.
func TestKeyText(t *testing.T) {
	t.Parallel()
	for expression, c := range map[string]struct {
		text string
		off  bool
		err  bool
	}{
		``:                       {"", false, false},
		`event.data.c`:           {"x", false, false},
		`event.data.n`:           {"1.2345678e+07", false, false},
		`event.data.yes`:         {"true", false, false},
		`event.data.no`:          {"false", true, false},
		`event.data.c == "y"`:    {"false", true, false},
		`event.data.nope`:        {"false", false, false},
		`event.data.nil`:         {"NULL_VALUE", false, false},
		`event.data.c + "-a"`:    {"x-a", false, false},
		`event.data.c.size(1,2)`: {"false", false, true},
		`nonsense(`:              {"false", false, true},
	} {
		in := inputs{event: json.RawMessage(keyEvent)}
		text, off, err := in.keyText(expression)
		require.Equal(t, c.text, text, expression)
		require.Equal(t, c.off, off, expression)
		require.Equal(t, c.err, err != nil, "%s: %v", expression, err)
	}
}

// flow-control §13, with whole doubles.
func TestPriority(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]int{
		``:                             0,
		`600`:                          600,
		`43201`:                        43200,
		`-99999`:                       -43200,
		`event.data.p`:                 120,
		`event.data.p * 1.0`:           120,
		`int(event.data.p)`:            120,
		`event.data.c == "x" ? 60 : 0`: 60,
		`event.data.half`:              0,
		`event.data.c`:                 0,
		`event.data.nope`:              0,
		`event.data.yes`:               0,
	} {
		in := inputs{event: json.RawMessage(keyEvent)}
		got, err := in.priority(expression)
		require.NoError(t, err, expression)
		require.Equal(t, want, got, expression)
	}
	_, err := (&inputs{event: json.RawMessage(keyEvent)}).priority(`nonsense(`)
	require.Error(t, err)
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for expression, c := range map[string]struct{ holds, err bool }{
		``:                    {true, false},
		`event.data.yes`:      {true, false},
		`event.data.nope`:     {false, false},
		`event.data.c`:        {false, true},
		`nonsense(`:           {false, true},
		`event.data.c == "x"`: {true, false},
	} {
		got, err := (&inputs{event: json.RawMessage(keyEvent)}).holds(expression)
		require.Equal(t, c.holds, got, expression)
		require.Equal(t, c.err, err != nil, expression)
	}
}

func TestEventThatIsNoObject(t *testing.T) {
	t.Parallel()
	in := inputs{event: json.RawMessage(`[`)}
	text, off, err := in.keyText(`event.data.c`)
	require.Error(t, err)
	require.Equal(t, sharedText, text)
	require.False(t, off)
	require.Zero(t, in.ts())
	require.Zero(t, (&inputs{event: json.RawMessage(`{}`)}).ts())
	require.Equal(t, int64(1700000000123), (&inputs{event: json.RawMessage(keyEvent)}).ts())
}

// Each expression is evaluated once, whichever limits name it, and is found by
// the hash that its limit is stored with.
func TestKeyExpressions(t *testing.T) {
	t.Parallel()
	var c function.Concurrency
	require.NoError(t, json.Unmarshal([]byte(`{"fn":[{"limit":1,"key":"event.data.run"}],"step":[
		{"limit":1,"key":"event.data.c"},{"limit":2,"key":"event.data.c","scope":"env"},{"limit":3}]}`), &c))
	fn := &function.Function{Concurrency: &c, Throttle: &function.Throttle{Key: "event.data.c"}}
	require.Equal(t, []keyExpression{
		{"event.data.c", function.Hash("event.data.c")}, {"event.data.run", function.Hash("event.data.run")},
	}, keyed(fn))
	require.Empty(t, keyed(&function.Function{Throttle: &function.Throttle{Limit: 1}}))
}

func TestComplaintsAreToldOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	var c complaints
	first := s.bus.Registry().Catalog()
	require.True(t, c.first(first, "a"))
	require.False(t, c.first(first, "a"))
	require.True(t, c.first(first, "b"))
	s.register(on("fn", "e"))
	require.True(t, c.first(s.bus.Registry().Catalog(), "a"), "the configuration is another")
}
