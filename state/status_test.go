package state

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status Status
		name   string
		code   int
		ended  bool
	}{
		{Running, "Running", 200, false},
		{Completed, "Completed", 300, true},
		{Failed, "Failed", 400, true},
		{Cancelled, "Cancelled", 500, true},
		{Overflowed, "Overflowed", 50, true},
		{Scheduled, "Scheduled", 100, false},
		{Skipped, "Skipped", 600, true},
		{Unknown, "Unknown", 0, false},
	}
	for _, test := range tests {
		require.Equal(t, test.name, test.status.String())
		require.Equal(t, test.code, test.status.Code(), test.name)
		require.Equal(t, test.status, StatusOfCode(test.code), test.name)
		require.Equal(t, test.ended, test.status.Ended(), test.name)
	}
	require.Equal(t, "Unknown", Status(200).String())
	require.Zero(t, Status(200).Code())
	require.Equal(t, Unknown, StatusOfCode(7))
}
