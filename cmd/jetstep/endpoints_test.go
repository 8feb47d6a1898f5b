package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/api"
	"jetstep/executor"
	"jetstep/state"
)

// What the executor says of reported steps reaches apps in the API's terms.
func TestErrorsOfReportedSteps(t *testing.T) {
	t.Parallel()
	for is, as := range map[error]error{
		state.ErrRunNotFound:      api.ErrRunNotFound,
		executor.ErrStepTooLarge:  api.ErrStepTooLarge,
		executor.ErrStateTooLarge: api.ErrStateTooLarge,
		executor.ErrRefused:       api.ErrRefusedStep,
		executor.ErrStale:         api.ErrStaleDispatch,
	} {
		got := checkpointError(fmt.Errorf("step a: %w", is))
		require.ErrorIs(t, got, as)
		require.ErrorContains(t, got, "step a")
	}
	other := errors.New("down")
	require.Equal(t, other, checkpointError(other))
	require.NoError(t, checkpointError(nil))
}
