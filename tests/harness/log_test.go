package harness

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogSplitsLines(t *testing.T) {
	t.Parallel()
	var log Log
	for _, part := range []string{"one\ntw", "o\n", "", "three\nunfinished"} {
		n, err := log.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.Equal(t, []string{"one", "two", "three"}, log.Lines())
	require.Equal(t, "two\nthree", log.Tail(2))
	require.Equal(t, "one\ntwo\nthree", log.Tail(9))
	require.Equal(t, "two\nthree", log.Mentioning("two", "", "hre"))
	require.Empty(t, log.Mentioning(""))
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	var log Log
	_, _ = log.Write([]byte(strings.Repeat("x", 3*maxLogLine) + "\n"))
	require.Len(t, log.Lines()[0], maxLogLine)
	for i := range maxLogLines + 1 {
		fmt.Fprintln(&log, i)
	}
	lines := log.Lines()
	require.LessOrEqual(t, len(lines), maxLogLines)
	require.Equal(t, fmt.Sprint(maxLogLines), lines[len(lines)-1])
}
