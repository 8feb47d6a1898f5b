package appsync

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	f.apps.serve("http://localhost:3000/api/inngest", f.sdk(registration("app", "a")))
	id, err := f.Add(t.Context(), "127.0.0.1:3000/api/inngest")
	require.NoError(t, err)
	require.Equal(t, f.registry.app(t, "app").ID, id)

	f.apps.serve("http://localhost:3001/api", func(*http.Request, string) *http.Response { return respond(401, ``) })
	for url, reason := range map[string]string{"localhost:3001/api": "unauthorized", "http://nobody.test/api": "unreachable"} {
		_, err = f.Add(t.Context(), url)
		var failed *AppError
		require.ErrorAs(t, err, &failed)
		require.EqualError(t, err, reason)
		require.Contains(t, f.registry.urls(), ConfiguredURL(url), "it is asked again")
	}
	before := len(f.registry.urls())
	for _, url := range []string{"", "ftp://x/y", "file:///etc/passwd", "http://", "http://a b/\x00"} {
		_, err = f.Add(t.Context(), url)
		require.ErrorIs(t, err, ErrURL, url)
	}
	require.Len(t, f.registry.urls(), before)

	f.registry.failing = errors.New("no leader")
	_, err = f.Add(t.Context(), "http://other.test/api")
	require.ErrorContains(t, err, "no leader")
}

func TestMove(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), http.Header{}, registration("app", "a"))
	require.NoError(t, err)
	app := f.registry.app(t, "app")

	require.NoError(t, f.Move(t.Context(), app.ID, "http://nobody.test/api"))
	moved := f.registry.app(t, "app")
	require.Equal(t, "http://nobody.test/api", moved.URL)
	require.Equal(t, "unreachable", moved.Error)
	require.Len(t, moved.Functions, 1)

	require.ErrorIs(t, f.Move(t.Context(), app.ID, "ws://x"), ErrURL)
	require.ErrorIs(t, f.Move(t.Context(), uuid.New(), "http://x.test"), ErrAppNotFound)
}

func TestArchive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Config{})
	_, err := f.Register(t.Context(), http.Header{}, registration("app", "a"))
	require.NoError(t, err)
	id := f.registry.app(t, "app").ID
	require.NoError(t, f.Archive(t.Context(), id))
	require.Empty(t, f.registry.urls())
	require.ErrorIs(t, f.Archive(t.Context(), id), ErrAppNotFound)
	require.ErrorIs(t, f.Archive(t.Context(), function.AppID("other")), ErrAppNotFound)

	f.registry.failing = errors.New("no leader")
	require.ErrorContains(t, f.Archive(t.Context(), id), "no leader")
}

func TestDiscovered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{Discover: true})
		f.apps.serve("http://localhost:3000/api/inngest", f.sdk(registration("app", "a")))
		run(t, f, func() {
			time.Sleep(DefaultInterval)
			synctest.Wait()
			require.True(t, f.Discovered("http://127.0.0.1:3000/api/inngest"))
			require.False(t, f.Discovered("http://localhost:9999/api"))
		})
	})
}
