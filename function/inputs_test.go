package function

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
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
		in := Inputs{Event: json.RawMessage(keyEvent)}
		text, off, err := in.KeyText(expression)
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
		in := Inputs{Event: json.RawMessage(keyEvent)}
		got, err := in.Priority(expression)
		require.NoError(t, err, expression)
		require.Equal(t, want, got, expression)
	}
	_, err := (&Inputs{Event: json.RawMessage(keyEvent)}).Priority(`nonsense(`)
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
		got, err := (&Inputs{Event: json.RawMessage(keyEvent)}).Holds(expression)
		require.Equal(t, c.holds, got, expression)
		require.Equal(t, c.err, err != nil, expression)
	}
}

func TestEventThatIsNoObject(t *testing.T) {
	t.Parallel()
	in := Inputs{Event: json.RawMessage(`[`)}
	text, off, err := in.KeyText(`event.data.c`)
	require.Error(t, err)
	require.Equal(t, sharedText, text)
	require.False(t, off)
	require.Zero(t, in.TS())
	require.Zero(t, (&Inputs{Event: json.RawMessage(`{}`)}).TS())
	require.Equal(t, int64(1700000000123), (&Inputs{Event: json.RawMessage(keyEvent)}).TS())
}

// Bind leaves what the event does not say to the events that come.
func TestBind(t *testing.T) {
	t.Parallel()
	got, err := (&Inputs{Event: json.RawMessage(keyEvent)}).Bind(`event.data.c == async.data.c`)
	require.NoError(t, err)
	require.Equal(t, `"x" == async.data.c`, got)
	_, err = (&Inputs{Event: json.RawMessage(`[`)}).Bind(`event.data.c == async.data.c`)
	require.Error(t, err)
}
