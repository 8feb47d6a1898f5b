package queue

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestDepths(t *testing.T) {
	t.Parallel()
	r := NewReady[int]()
	require.Empty(t, r.Depths())
	a, b := uuid.New(), uuid.New()
	r.Push(a, 1, 1)
	r.Push(a, 2, 2)
	r.Push(b, 3, 3)
	require.Equal(t, map[uuid.UUID]Depth{a: {Waiting: 2}, b: {Waiting: 1}}, r.Depths())
	_, err := r.Pop(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]Depth{a: {Waiting: 1, Out: 1}, b: {Waiting: 1}}, r.Depths())
	r.Done(a)
	for range 2 {
		_, err = r.Pop(t.Context())
		require.NoError(t, err)
	}
	r.Done(a)
	r.Done(b)
	require.Empty(t, r.Depths())
}
