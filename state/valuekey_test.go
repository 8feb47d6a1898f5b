package state

import (
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestValueKeysGiveTheirValueBack(t *testing.T) {
	t.Parallel()
	fn, other := function.FunctionID("a", "f"), function.FunctionID("a", "g")
	for _, expr := range []string{"", function.Hash("event.data.a")} {
		for _, value := range []string{"", function.Hash("red"), function.Hash("false")} {
			key := NewValueKey(OfThrottle, fn, expr, value)
			got, ok := key.Value(OfThrottle, fn, expr)
			require.True(t, ok)
			require.Equal(t, value, got)
			for _, wrong := range []struct {
				kind string
				fn   uuid.UUID
				expr string
			}{{OfRateLimit, fn, expr}, {OfThrottle, other, expr}, {OfThrottle, fn, "other"}} {
				_, ok := key.Value(wrong.kind, wrong.fn, wrong.expr)
				require.False(t, ok)
			}
		}
	}
	require.NotEqual(t, NewValueKey(OfThrottle, fn, "", "no hash!"), NewValueKey(OfThrottle, fn, "", "another!"))
}

func TestClaimKeysGiveTheirTextBack(t *testing.T) {
	t.Parallel()
	// redis-state §6.1
	for _, text := range []string{"gqn82qaxsoy1-3s0fxspvq5bgx", "18dj8dgz8bpma-2dk8a0nvnnozm"} {
		key, ok := ClaimKey(text)
		require.True(t, ok)
		require.Equal(t, text, Idempotency(key))
	}
	for _, text := range []string{"", "-", "a-", "key", "batch 01M8AET0YF1VEAYWNXD1BS5P14", "a-b-c", "gqn82qaxsoy1-zzzzzzzzzzzzzzzzz"} {
		_, ok := ClaimKey(text)
		require.False(t, ok, text)
	}
}

func TestCollectedKeys(t *testing.T) {
	t.Parallel()
	fn, other := function.FunctionID("a", "f"), function.FunctionID("a", "g")
	event := ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14")
	half := func(key [16]byte) string { return string(key[:8]) }
	require.Equal(t, half(CollectedKey(fn, ulid.ULID{1})), half(CollectedKey(fn, event)), "which tells whose it is")
	require.NotEqual(t, half(CollectedKey(other, event)), half(CollectedKey(fn, event)))
	require.NotEqual(t, CollectedKey(fn, event), CollectedKey(fn, ulid.ULID{1}))
}

func TestPlacedRuns(t *testing.T) {
	t.Parallel()
	x := indexWith(&RunPlaced{testRun, 3})
	p, ok := x.Placed(testRun)
	require.True(t, ok)
	require.Equal(t, 3, p)
	x.ApplyOp(&RunForgotten{testRun}, 1000)
	_, ok = x.Placed(testRun)
	require.False(t, ok)
}
