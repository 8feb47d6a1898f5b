package expr

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseDurationMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Input     string
		NS        int64
		Canonical string
		Error     string
	}
	readFixture(t, "durations.json", &cases)
	require.Len(t, cases, 96)
	for _, c := range cases {
		t.Run(c.Input, func(t *testing.T) {
			t.Parallel()
			d, err := ParseDuration(c.Input)
			if c.Error != "" {
				require.EqualError(t, err, c.Error)
				return
			}
			require.NoError(t, err)
			require.Equal(t, time.Duration(c.NS), d)
			require.Equal(t, c.Canonical, FormatDuration(d))
		})
	}
}

func TestParseDurationLimits(t *testing.T) {
	t.Parallel()
	d, err := ParseDuration("-9223372036854775808ns")
	require.NoError(t, err)
	require.Equal(t, time.Duration(math.MinInt64), d)
	require.Equal(t, "-15250w1d23h47m16s854ms775us808ns", FormatDuration(d))
	for _, text := range []string{"9223372036854775807.9us9223372036854775807us", "106751d24h", "15250.9w", "1w9223372036854775807ns"} {
		_, err := ParseDuration(text)
		require.EqualError(t, err, `time: invalid duration "`+text+`"`)
	}
}

// Without days and weeks the grammar is Go's.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"1h30m", "-.5s", "0", "1.123456789123456789s", "9223372036854775807ns", "1", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := time.ParseDuration(text)
		if err != nil {
			return
		}
		got, err := ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := ParseDuration(FormatDuration(got))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
