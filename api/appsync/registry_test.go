package appsync

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
)

// TestLifeOfAnAppInTheRealRegistry: the other tests replace the registry.
func TestLifeOfAnAppInTheRealRegistry(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	s := New(Config{Registry: b.Registry(), Kind: "dev"})
	catalog := b.Registry().Catalog

	require.NoError(t, s.addPlaceholder(t.Context(), appURL))
	require.Len(t, catalog().AppsByURL(appURL), 1)
	first, err := s.Register(t.Context(), nil, registration("app", "a", "b"))
	require.NoError(t, err)
	placeholder, ok := catalog().App(function.AppID(appURL))
	require.True(t, ok, "a placeholder is archived, never deleted")
	require.False(t, placeholder.ArchivedAt.IsZero())
	require.Len(t, catalog().Apps, 1)
	before := catalog().Apps[0].Functions

	again, err := s.Register(t.Context(), nil, registration("app", "a", "b"))
	require.NoError(t, err)
	require.False(t, again.Modified)

	renamed, err := s.Register(t.Context(), nil, registration("app", "a", "c"))
	require.NoError(t, err)
	require.True(t, renamed.Modified)
	require.Equal(t, first.AppID, renamed.AppID)
	app := catalog().Apps[0]
	require.Equal(t, []string{"app-a", "app-c"}, slugs(app))
	require.Equal(t, before[0].ID, app.Functions[0].ID)
	require.Equal(t, []int{2, 1}, []int{app.Functions[0].Version, app.Functions[1].Version})
	_, active := catalog().Function(before[1].ID)
	require.False(t, active)
	_, _, executable := catalog().Executable(before[1].ID)
	require.True(t, executable, "runs of a removed function can end")

	back, err := s.Register(t.Context(), nil, registration("app", "a", "b"))
	require.NoError(t, err)
	require.True(t, back.Modified)
	fn, ok := catalog().Lookup("app-b")
	require.True(t, ok)
	require.Equal(t, before[1].ID, fn.ID)
	require.Equal(t, 2, fn.Version)

	require.NoError(t, s.Remove(t.Context(), appURL))
	require.Empty(t, catalog().Apps)
}
