package bus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// put stores an app under its id.
func put(t *testing.T, r *Registry, app *function.App) {
	t.Helper()
	_, err := r.Update(t.Context(), app.ID, func(*function.App) (*function.App, error) { return app, nil })
	require.NoError(t, err)
}

// purgeSubject removes what is stored on a subject without leaving a trace.
func (b *Bus) purgeSubject(t *testing.T, stream, subject string) error {
	t.Helper()
	s, err := b.control.js.Stream(t.Context(), stream)
	require.NoError(t, err)
	return s.Purge(t.Context(), jetstream.WithPurgeSubject(subject))
}

func registryKV(t *testing.T, b *Bus) jetstream.KeyValue {
	t.Helper()
	kv, err := b.control.js.KeyValue(t.Context(), registryBucket)
	require.NoError(t, err)
	return kv
}

func TestRegistryUpdate(t *testing.T) {
	t.Parallel()
	r := openEmbedded(t).Registry()
	require.Empty(t, r.Catalog().Apps)
	id := uuid.New()

	made, err := r.Update(t.Context(), id, func(old *function.App) (*function.App, error) {
		require.Nil(t, old)
		return &function.App{Name: "a", Functions: []function.Function{{ID: uuid.New(), Slug: "a-f"}}}, nil
	})
	require.NoError(t, err)
	require.Equal(t, id, made.ID)
	fn, ok := r.Catalog().Lookup("a-f")
	require.True(t, ok, "the catalog shows it when Update returns")
	executable, app, ok := r.Executable(fn.ID)
	require.True(t, ok)
	require.Equal(t, "a-f", executable.Slug)
	require.Equal(t, id, app)

	changed, err := r.Update(t.Context(), id, func(old *function.App) (*function.App, error) {
		require.Equal(t, "a", old.Name)
		old.Name = "b"
		return old, nil
	})
	require.NoError(t, err)
	require.Equal(t, "b", changed.Name)
	_, ok = r.Catalog().AppByName("b")
	require.True(t, ok)

	before := r.Catalog()
	kept, err := r.Update(t.Context(), id, func(*function.App) (*function.App, error) { return nil, nil })
	require.NoError(t, err)
	require.Equal(t, "b", kept.Name)
	require.Same(t, before, r.Catalog(), "no change, no new catalog")

	no := errors.New("no")
	_, err = r.Update(t.Context(), id, func(*function.App) (*function.App, error) { return nil, no })
	require.ErrorIs(t, err, no)
}

func TestRegistryUpdateLosesNoChange(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	buses := []*Bus{n.open(nil), n.open(nil)}
	id := uuid.New()
	const writers, each = 4, 10
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				_, err := buses[w%2].Registry().Update(context.Background(), id, func(old *function.App) (*function.App, error) {
					if old == nil {
						old = &function.App{}
					}
					old.Functions = append(old.Functions, function.Function{ID: uuid.New(), Slug: strconv.Itoa(w*each + i)})
					return old, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, b := range buses {
		eventually(t, func() bool { return len(b.Registry().Catalog().Functions()) == writers*each }, "each process sees every change")
	}
}

func TestRegistryWatch(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	here, there := n.open(nil), n.open(nil)
	put(t, here.Registry(), appWith("first"))
	eventually(t, func() bool { return len(there.Registry().Catalog().Apps) == 1 }, "the other process sees it")
	sizes := make(chan int, 100)
	stop := there.Registry().Watch(func(c *Catalog) { sizes <- len(c.Apps) })
	require.Equal(t, 1, wait(t, sizes), "the present catalog comes first")
	put(t, here.Registry(), appWith("second"))
	require.Equal(t, 2, wait(t, sizes))
	stop()
	stop()
	put(t, there.Registry(), appWith("third"))
	require.Empty(t, sizes)
}

func TestRegistrySurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Config{StoreDir: dir})
	for i := range 20 {
		put(t, b.Registry(), appWith("app"+strconv.Itoa(i), triggeredBy("f"+strconv.Itoa(i), on("e"))))
	}
	// A tombstone: the app is removed, its key stays.
	removed := appWith("app7", triggeredBy("f7", on("e")))
	removed.ArchivedAt = time.Now()
	put(t, b.Registry(), removed)
	require.Len(t, b.Registry().Catalog().Triggered("e"), 19)
	b.Close()

	b = open(t, Config{StoreDir: dir})
	require.Len(t, b.Registry().Catalog().Triggered("e"), 19)
	app, ok := b.Registry().Catalog().App(removed.ID)
	require.True(t, ok)
	require.False(t, app.ArchivedAt.IsZero())
}

// What nobody of us wrote is reported and changes nothing, also at a start.
func TestRegistryKeepsWhatItHasWhenAValueIsUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Config{StoreDir: dir})
	good, spoilt := appWith("good", triggeredBy("g")), appWith("spoilt", triggeredBy("s"))
	put(t, b.Registry(), good)
	put(t, b.Registry(), spoilt)
	kv := registryKV(t, b)
	for name, value := range map[string]string{"no JSON": `{"id":`, "another app": `{"id":"` + uuid.NewString() + `"}`, "wrong types": `{"id":7}`} {
		_, err := kv.Put(t.Context(), spoilt.ID.String(), []byte(value))
		require.NoError(t, err)
		put(t, b.Registry(), good) // its watcher has seen the other by now
		require.Equal(t, []string{"g", "s"}, slugs(b.Registry().Catalog().Functions()), name)
		_, err = b.Registry().Update(t.Context(), spoilt.ID, func(*function.App) (*function.App, error) { return spoilt, nil })
		require.ErrorContains(t, err, "is unreadable", name)
	}
	require.NoError(t, kv.Delete(t.Context(), good.ID.String()))
	put(t, b.Registry(), appWith("third", triggeredBy("t")))
	require.Equal(t, []string{"g", "s", "t"}, slugs(b.Registry().Catalog().Functions()))
	// The end of the bucket as its state has it is gone.
	_, err := kv.Put(t.Context(), "gone", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, b.purgeSubject(t, registryStream, registryKeys+"gone"))
	b.Close()

	b = open(t, Config{StoreDir: dir})
	require.Equal(t, []string{"t"}, slugs(b.Registry().Catalog().Functions()))
}

func TestRegistryUpdateReportsErrors(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Registry().Update(ended, uuid.New(), func(*function.App) (*function.App, error) { return &function.App{}, nil })
	require.ErrorIs(t, err, context.Canceled)

	// Stored, but not seen in time.
	ctx, cancel := context.WithCancel(t.Context())
	b.Registry().stop()
	_, err = b.Registry().Update(ctx, uuid.New(), func(*function.App) (*function.App, error) { return &function.App{}, nil })
	require.ErrorContains(t, err, "is stored but not seen")
	cancel()

	require.NoError(t, b.control.js.DeleteKeyValue(t.Context(), registryBucket))
	_, err = b.Registry().Update(t.Context(), uuid.New(), func(*function.App) (*function.App, error) { return &function.App{}, nil })
	require.ErrorContains(t, err, "registry: ")
}

func TestRegistryUpdateWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	r := b.Registry()
	ctx, cancel := context.WithCancel(t.Context())
	r.mu.Lock() // the watcher cannot show anything
	done := make(chan error, 1)
	go func() {
		done <- r.await(ctx, "key", 1)
	}()
	cancel()
	r.mu.Unlock()
	require.ErrorContains(t, wait(t, done), "is stored but not yet seen")
}

func TestRegistryFollowsOverRestarts(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	here, there := n.open(nil), n.open(nil)
	for i := range 3 {
		eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			app := appWith("app" + strconv.Itoa(i))
			_, err := here.Registry().Update(ctx, app.ID, func(*function.App) (*function.App, error) { return app, nil })
			return err == nil
		}, "updates work")
		eventually(t, func() bool { return len(there.Registry().Catalog().Apps) == i+1 }, "the other process follows")
		n.restart()
	}
}

// Who publishes after a registration tells everyone what is registered by then.
func TestEventsTellOfAChangedRegistry(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b, other := n.open(nil), n.open(nil)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	_, err := b.Registry().Update(t.Context(), function.AppID("a"), func(*function.App) (*function.App, error) {
		return &function.App{Name: "a"}, nil
	})
	require.NoError(t, err)
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	b.Registry().changedAt.Store(time.Now().Add(-2 * freshFor).UnixNano())
	require.NoError(t, b.Publish(t.Context(), numbered(1)))
	events := storedEvents(t, b)
	require.Len(t, events, 3)
	require.Equal(t, []uint64{0, 1, 0}, []uint64{events[0].Registry, events[1].Registry, events[2].Registry})

	require.NoError(t, other.Registry().AwaitRevision(t.Context(), 1))
	_, known := other.Registry().Catalog().App(function.AppID("a"))
	require.True(t, known)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, other.Registry().AwaitRevision(ended, 99), context.Canceled)
	other.Close()
	require.ErrorIs(t, other.Registry().AwaitRevision(t.Context(), 99), errBusClosed)
}
