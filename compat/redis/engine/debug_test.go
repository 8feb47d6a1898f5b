package engine_test

import (
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/state"
)

// TestDebugIDs: a run keeps the ids of those who debug; what is none counts for
// nothing.
func TestDebugIDs(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, want := range []*state.Debug{nil, {Session: ulid.Make()}, {Session: ulid.Make(), Run: ulid.Make()}} {
		begins := start(newEvent(t, "suite/start", nil))
		begins.Debug = want
		id, _, err := s.Start(t.Context(), begins)
		require.NoError(t, err)
		require.Equal(t, want, s.loaded(id).Debug)
	}
	begins := start(newEvent(t, "suite/start", nil))
	id, _, err := s.Start(t.Context(), begins)
	require.NoError(t, err)
	ctx, err := format.Encode(format.Context{DebugSession: "none"})
	require.NoError(t, err)
	require.NoError(t, s.client.HSet(t.Context(), format.MetadataKey(id), "ctx", ctx).Err())
	require.Nil(t, s.loaded(id).Debug)
	require.Empty(t, engine.WithDebug(format.Context{}, nil))
}
