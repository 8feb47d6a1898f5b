package expr

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type cronCase struct {
	Expr     string
	From     string
	Register string
	Next     []string
	Error    string
}

func TestCronMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []cronCase
	readFixture(t, "cron.json", &cases)
	require.Len(t, cases, 85)
	for _, c := range cases {
		t.Run(c.Expr+" "+c.From, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCron(c.Expr)
			if strings.Contains(c.Register, "cron schedule") || strings.HasPrefix(c.Register, "PANIC") {
				require.Error(t, err)
			} else {
				require.NoError(t, err, c.Register)
			}
			schedule, err := ParseStoredCron(c.Expr)
			if strings.HasPrefix(c.Error, "PANIC") {
				require.ErrorContains(t, err, "no fields after the time zone")
				return
			}
			if c.Error != "" {
				require.EqualError(t, err, c.Error)
				return
			}
			require.NoError(t, err)
			requireTicks(t, schedule, c)
		})
	}
}

func requireTicks(t *testing.T, schedule Schedule, c cronCase) {
	t.Helper()
	tick, err := time.Parse(time.RFC3339Nano, c.From)
	require.NoError(t, err)
	require.NotEmpty(t, c.Next)
	for _, next := range c.Next {
		tick = schedule.Next(tick)
		if next == "never" {
			require.True(t, tick.IsZero())
			return
		}
		want, err := time.Parse(time.RFC3339, next)
		require.NoError(t, err)
		require.True(t, want.Equal(tick), "want %s, got %s", want, tick)
	}
}
