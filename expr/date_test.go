package expr

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDatesMatchReference(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Fn     string
		Input  string
		Now    time.Time
		Result time.Time
		Error  string
	}
	readFixture(t, "dates.json", &cases)
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Fn+" "+c.Input, func(t *testing.T) {
			t.Parallel()
			var got time.Time
			var err error
			switch c.Fn {
			case "timeout":
				got, err = ParseTimeout(c.Input, c.Now)
			case "date_string":
				got, err = ParseDate(c.Input)
			case "date_int":
				n, parseErr := strconv.ParseInt(c.Input, 10, 64)
				require.NoError(t, parseErr)
				got, err = dateFromNumber(n)
			default:
				t.Fatalf("unknown function %q", c.Fn)
			}
			if c.Error != "" {
				require.EqualError(t, err, c.Error)
				return
			}
			require.NoError(t, err)
			require.True(t, c.Result.Equal(got), "want %s, got %s", c.Result, got)
		})
	}
}

func TestParseUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 600_000_000, time.UTC)
	cases := []struct {
		text string
		want time.Duration // from now
	}{
		{"", 0},
		{"1h30m", 90 * time.Minute},
		{"2d", 48 * time.Hour},
		{"1w2d3h4m5s6ms", 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second + 6*time.Millisecond},
		{"-1h", -time.Hour},
		{"2026-03-04T05:06:10Z", 2 * time.Second},
		{"2026-03-04T05:06:10.2Z", 3 * time.Second},
		{"2026-03-05", 18*time.Hour + 53*time.Minute + 52*time.Second},
		{"2026-03-04", 0},
		{"2020-01-01T00:00:00+01:00", 0},
	}
	for _, c := range cases {
		got, err := ParseUntil(c.text, now)
		require.NoError(t, err, c.text)
		require.Equal(t, now.Add(c.want), got, c.text)
	}
	for _, text := range []string{"tomorrow", "1y", "2026-13-04T00:00:00Z", "5"} {
		_, err := ParseUntil(text, now)
		require.ErrorContains(t, err, `invalid duration "`+text+`"`)
	}
}
