package jobs_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
)

// TestTorture: many enqueue, lease, put back, extend and dequeue at once. Each
// item is leased by one at a time, and all indexes agree afterwards.
func TestTorture(t *testing.T) {
	t.Parallel()
	s := open(t)
	const workers, each = 8, 12
	var mu sync.Mutex
	held, done := map[string]bool{}, 0
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for n := range each {
				item := newItem(fmt.Sprintf("w%dn%d", worker, n), format.KindEdge, runAt(start), start)
				if _, err := s.Enqueue(t.Context(), start, item); err != nil {
					t.Error(err)
				}
			}
			for turn := 0; ; turn++ {
				mu.Lock()
				finished := done == workers*each
				mu.Unlock()
				if finished || t.Failed() {
					return
				}
				page, err := s.Peek(t.Context(), fn.String(), start, int64(turn%5), 1)
				if err != nil || len(page.Entries) == 0 {
					continue
				}
				leased, err := s.Lease(t.Context(), page.Entries[0], start)
				if err != nil {
					continue
				}
				id := leased.Item.ID
				mu.Lock()
				if held[id] {
					t.Errorf("%s is leased twice", id)
				}
				held[id] = true
				mu.Unlock()
				if leased, err = s.Extend(t.Context(), leased, start); err != nil {
					t.Error(err)
				}
				mu.Lock()
				held[id] = false
				mu.Unlock()
				switch turn % 3 {
				case 0:
					err = s.Dequeue(t.Context(), leased)
					mu.Lock()
					done++
					mu.Unlock()
				case 1:
					_, err = s.Release(t.Context(), leased, start)
				case 2:
					_, err = s.Requeue(t.Context(), leased, start, func(i *format.Item) { i.Data.Attempt++ })
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, s.consistent()[format.ItemsKey].Things)
}
