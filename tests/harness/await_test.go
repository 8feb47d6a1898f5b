package harness

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	notYet := errors.New("not yet")

	t.Run("returns the first value without error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			looks := 0
			began := time.Now()
			got, err := Await(t.Context(), "a number", func(context.Context) (int, error) {
				if looks++; looks < 4 {
					return 0, notYet
				}
				return 7, nil
			})
			require.NoError(t, err)
			require.Equal(t, 7, got)
			require.Equal(t, 4, looks)
			// 10 ms, then each pause half as long again.
			require.Equal(t, 10*time.Millisecond+15*time.Millisecond+22500*time.Microsecond, time.Since(began))
		})
	})

	t.Run("names what it waited for and the last reason", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := Await(ctx, "godot", func(context.Context) (int, error) { return 0, notYet })
			require.ErrorIs(t, err, notYet)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "waiting for godot")
		})
	})

	t.Run("gives up on a permanent error", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("gone")
		_, err := Await(t.Context(), "it", func(context.Context) (int, error) { return 0, Permanent(cause) })
		require.ErrorIs(t, err, cause)
		require.NoError(t, Permanent(nil))
	})
}
