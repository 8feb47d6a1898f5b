package projector

import (
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

// TestAllRest has one source that must rest and another that wants to begin.
func TestAllRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		p.load, p.asked = 1, time.Now().Add(time.Hour)
		began := time.Now()
		go p.end(t.Context(), time.Second/2, 0)
		synctest.Wait()
		waited := make(chan time.Duration, 1)
		go func() {
			p.begin(t.Context())
			waited <- time.Since(began)
		}()
		require.Equal(t, 1500*time.Millisecond, <-waited)
		time.Sleep(time.Second)
		p.begin(t.Context())
		p.load = 0
		p.end(t.Context(), time.Hour, 0)
		require.Equal(t, 2500*time.Millisecond, time.Since(began), "an idle machine needs no rest")
	})
}
