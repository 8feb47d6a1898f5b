package expr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMissingIsNotFalse(t *testing.T) {
	t.Parallel()
	vars := map[string]any{"event": map[string]any{"data": map[string]any{"no": false, "nil": nil}}}
	for text, missing := range map[string]bool{
		`event.data.nope`:        true,
		`event.nope.nope`:        true,
		`event.data.no`:          false,
		`false`:                  false,
		`event.data.nope == "x"`: false,
		`event.data.nil`:         false,
	} {
		result, err := Eval(text, vars)
		require.NoError(t, err, text)
		require.Equal(t, missing, result.IsMissing(), text)
		if missing {
			require.True(t, result.IsFalse(), text)
			require.Equal(t, "false", result.Text(), text)
		}
	}
}

func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	vars := map[string]any{"event": map[string]any{"data": map[string]any{"p": 120.0, "half": 0.5, "huge": 1e300, "s": "120"}}}
	for text, c := range map[string]struct {
		n  int64
		ok bool
	}{
		`600`:                          {600, true},
		`-600`:                         {-600, true},
		`event.data.p`:                 {120, true},
		`event.data.p * 2.0`:           {240, true},
		`int(event.data.p)`:            {120, true},
		`event.data.p == 1 ? 120 : -5`: {-5, true},
		`event.data.half`:              {0, false},
		`event.data.huge`:              {0, false},
		`event.data.s`:                 {0, false},
		`event.data.nope`:              {0, false},
		`true`:                         {0, false},
	} {
		result, err := Eval(text, vars)
		require.NoError(t, err, text)
		n, ok := result.Whole()
		require.Equal(t, c.ok, ok, text)
		if ok {
			require.Equal(t, c.n, n, text)
		}
	}
}
