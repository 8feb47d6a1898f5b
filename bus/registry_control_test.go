package bus

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestPausedOutlastsRegistrationAndRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Config{StoreDir: dir})
	r := b.Registry()
	app := appWith("shop", triggeredBy("shop-pay", on("pay")), triggeredBy("shop-ship", on("ship")))
	put(t, r, app)
	pay, ship := app.Functions[0].ID, app.Functions[1].ID

	require.NoError(t, r.SetPaused(t.Context(), pay, true))
	require.True(t, r.Catalog().Paused(pay), "the catalog shows it when SetPaused returns")
	require.False(t, r.Catalog().Paused(ship))
	before := r.Catalog()
	require.NoError(t, r.SetPaused(t.Context(), pay, true))
	require.Same(t, before, r.Catalog(), "no change, no new catalog")

	put(t, r, app)
	require.True(t, r.Catalog().Paused(pay), "registering again does not undo it")

	b.Close()
	r = open(t, Config{StoreDir: dir}).Registry()
	require.True(t, r.Catalog().Paused(pay))
	require.NoError(t, r.SetPaused(t.Context(), pay, false))
	require.False(t, r.Catalog().Paused(pay))
	_, known := r.Catalog().Function(pay)
	require.True(t, known)
}

// TestControlIsOverwrittenNotDeleted: a deleted value could come back after a
// crash.
func TestControlIsOverwrittenNotDeleted(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	r, fn := b.Registry(), uuid.New()
	c := function.Cancellation{ID: ulid.Make(), FunctionID: fn, CreatedAt: time.Now()}
	require.NoError(t, r.SetPaused(t.Context(), fn, true))
	require.NoError(t, r.AddCancellation(t.Context(), c))
	require.NoError(t, r.RemoveCancellation(t.Context(), c.ID))
	require.NoError(t, r.SetPaused(t.Context(), fn, false))
	entry, err := registryKV(t, b).Get(t.Context(), "control."+fn.String())
	require.NoError(t, err)
	require.JSONEq(t, `{"function_id":"`+fn.String()+`"}`, string(entry.Value()))
}

func TestCancellations(t *testing.T) {
	t.Parallel()
	r := openEmbedded(t).Registry()
	one, two := uuid.New(), uuid.New()
	made := func(fn uuid.UUID, ago time.Duration) function.Cancellation {
		at := time.Now().UTC().Add(-ago)
		return function.Cancellation{ID: ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()), FunctionID: fn, StartedBefore: at, If: "true", CreatedAt: at}
	}
	old, first, second := made(one, 25*time.Hour), made(one, time.Hour), made(two, 0)
	var told []*Catalog
	stop := r.Watch(func(c *Catalog) { told = append(told, c) })
	for _, c := range []function.Cancellation{old, first, second} {
		require.NoError(t, r.AddCancellation(t.Context(), c))
	}
	stop() // and from here told can be read
	require.Len(t, told, 4, "owners are told of each")
	require.Equal(t, []function.Cancellation{first}, told[2].Cancellations(one))

	c := r.Catalog()
	require.Equal(t, []function.Cancellation{first}, c.Cancellations(one), "old ones are listed no more")
	require.Equal(t, []function.Cancellation{second}, c.Cancellations(two))
	require.Empty(t, c.Cancellations(uuid.New()))
	require.Equal(t, []function.Cancellation{second, first}, c.AllCancellations(), "newest first")

	require.ErrorIs(t, r.RemoveCancellation(t.Context(), old.ID), ErrNoCancellation)
	require.NoError(t, r.RemoveCancellation(t.Context(), first.ID))
	require.Empty(t, r.Catalog().Cancellations(one))
	require.ErrorIs(t, r.RemoveCancellation(t.Context(), first.ID), ErrNoCancellation)
	require.Equal(t, []function.Cancellation{second}, r.Catalog().AllCancellations())
}

func TestControlLosesNoChange(t *testing.T) {
	t.Parallel()
	r, fn := openEmbedded(t).Registry(), uuid.New()
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			c := function.Cancellation{ID: ulid.Make(), FunctionID: fn, CreatedAt: time.Now()}
			if err := r.AddCancellation(t.Context(), c); err != nil {
				t.Errorf("add: %v", err)
			}
		})
	}
	adding.Go(func() {
		if err := r.SetPaused(t.Context(), fn, true); err != nil {
			t.Errorf("pause: %v", err)
		}
	})
	adding.Wait()
	require.Len(t, r.Catalog().Cancellations(fn), 8)
	require.True(t, r.Catalog().Paused(fn))
}

func TestControlOfAnotherFunctionIsRefused(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	r, fn := b.Registry(), uuid.New()
	_, err := registryKV(t, b).Put(t.Context(), "control."+fn.String(), []byte(`{"function_id":"`+uuid.NewString()+`","paused":true}`))
	require.NoError(t, err)
	require.ErrorContains(t, r.SetPaused(t.Context(), fn, true), "unreadable")
	require.NoError(t, r.SetPaused(t.Context(), uuid.New(), true), "others are not concerned")
	require.False(t, r.Catalog().Paused(fn))
}
