package projector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRestAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		work, age time.Duration
		load      float64
		want      time.Duration
	}{
		"idle machine":     {time.Second, 0, 0.2, 0},
		"unknown load":     {time.Second, 0, 0, 0},
		"busy machine":     {200 * time.Millisecond, time.Second, 0.95, 600 * time.Millisecond},
		"much work":        {10 * time.Second, time.Second, 0.95, 2 * time.Second},
		"little work":      {10 * time.Millisecond, time.Second, 0.95, 0},
		"far behind":       {time.Second, time.Minute, 0.95, 0},
		"nothing was done": {0, 0, 1, 0},
	} {
		require.Equal(t, c.want, restAfter(c.work, c.age, c.load), name)
	}
}

func TestDelayOfABatch(t *testing.T) {
	t.Parallel()
	p := newPacer(1)
	p.asked = time.Now().Add(time.Hour)
	for load, want := range map[float64]time.Duration{0: batchDelay, 0.5: batchDelay, 0.95: batchDelayBusy} {
		p.load = load
		require.Equal(t, want, p.delay(), load)
	}
}

// TestTurns has one source that must rest and another that wants to begin.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1)
		p.load, p.asked = 1, time.Now().Add(time.Hour)
		began := time.Now()
		require.NoError(t, p.begin(t.Context()))
		go p.end(t.Context(), time.Second/2, 0)
		synctest.Wait()
		require.NoError(t, p.begin(t.Context()))
		require.Equal(t, 1500*time.Millisecond, time.Since(began))
		p.load = 0
		p.end(t.Context(), time.Hour, 0)
		require.Equal(t, 1500*time.Millisecond, time.Since(began), "an idle machine needs no rest")

		two := newPacer(2)
		require.NoError(t, two.begin(t.Context()))
		require.NoError(t, two.begin(t.Context()))
		ended, end := context.WithCancel(t.Context())
		end()
		require.ErrorIs(t, two.begin(ended), context.Canceled, "a third one waits")
	})
}
