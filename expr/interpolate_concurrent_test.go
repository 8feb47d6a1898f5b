package expr

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Partitions interpolate the same text at once, and one event's values must
// leave no trace in it for the next.
func TestInterpolateConcurrently(t *testing.T) {
	t.Parallel()
	const text = `event.data.list.exists(x, x == 1) && async.data.list.exists(x, x == event.data.n) || event.data.n == async.data.n`
	event := func(n int) map[string]any {
		return map[string]any{"event": map[string]any{"data": map[string]any{"n": n, "list": []any{1, 2}}}}
	}
	want, err := Interpolate(text, event(7))
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				if _, err := Interpolate(text, event(i*n)); err != nil {
					t.Errorf("interpolate: %v", err)
				}
			}
		})
	}
	all.Wait()
	got, err := Interpolate(text, event(7))
	require.NoError(t, err)
	require.Equal(t, want, got)
}
