package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/state"
)

func fn(n int) uuid.UUID { return uuid.UUID{15: byte(n)} }

// item is the n-th job of a function.
type item struct{ function, n int }

func TestFunctionsTakeTurns(t *testing.T) {
	t.Parallel()
	r := NewReady[item]()
	for n := range 100 {
		r.Push(fn(1), 0, item{1, n})
	}
	r.Push(fn(2), 0, item{2, 0})
	r.Push(fn(3), 0, item{3, 0})
	r.Push(fn(2), 0, item{2, 1})
	require.Equal(t, 103, r.Len())
	var got []item
	for range 7 {
		job, err := r.Pop(t.Context())
		require.NoError(t, err)
		got = append(got, job)
	}
	require.Equal(t, []item{{1, 0}, {2, 0}, {3, 0}, {1, 1}, {2, 1}, {1, 2}, {1, 3}}, got)
	require.Equal(t, 96, r.Len())
}

// Whatever comes and goes: a function's jobs keep their order, none is lost or
// doubled, and a function that has a job waits for no other's second one.
func TestReadyIsFairAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		dice := rand.New(rand.NewPCG(seed, 0))
		r := NewReady[item]()
		pushed, popped := map[int]int{}, map[int]int{}
		// since counts, for each function that waits, the turns of others.
		since := map[int]map[int]int{}
		length := 0
		for range 5000 {
			if dice.IntN(2) == 0 {
				f := dice.IntN(6)
				if dice.IntN(3) > 0 {
					f = 0 // one has a deep backlog
				}
				if pushed[f] == popped[f] {
					since[f] = map[int]int{}
				}
				r.Push(fn(f), 0, item{f, pushed[f]})
				pushed[f]++
				length++
			} else if length > 0 {
				job, err := r.Pop(t.Context())
				require.NoError(t, err)
				require.Equal(t, popped[job.function], job.n, "in order within a function")
				popped[job.function]++
				length--
				delete(since, job.function)
				for f, turns := range since {
					turns[job.function]++
					require.LessOrEqual(t, turns[job.function], 2, "function %d waits for %d", f, job.function)
				}
				if pushed[job.function] > popped[job.function] {
					since[job.function] = map[int]int{}
				}
			}
			require.Equal(t, length, r.Len())
		}
	}
}

// A function's jobs come by score, and by age among equals.
func TestReadyGoesByScore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 1))
		r := NewReady[item]()
		for n := range 500 {
			r.Push(fn(1), int64(dice.IntN(20)), item{n: n})
		}
		last := scored[item]{score: -1}
		pushed := 500
		for r.Len() > 0 {
			next := r.lines[fn(1)].jobs[0]
			job, err := r.Pop(t.Context())
			require.NoError(t, err)
			require.Equal(t, next.job, job)
			require.True(t, last.score < next.score || last.score == next.score && last.job.n < job.n)
			last = next
			if dice.IntN(3) == 0 && pushed < 1000 {
				r.Push(fn(1), last.score+int64(dice.IntN(3)), item{n: pushed})
				pushed++
			}
		}
	}
}

// Those who wait for idle functions get a job of one as soon as it has no other
// one out, however many jobs of others wait.
func TestPopIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReady[item]()
		for n := range 1000 {
			r.Push(fn(1), 0, item{1, n})
		}
		_, err := r.Pop(t.Context())
		require.NoError(t, err)
		got := make(chan item, 10)
		go func() {
			for {
				job, err := r.PopIdle(t.Context())
				if err != nil {
					return
				}
				got <- job
			}
		}()
		synctest.Wait()
		require.Empty(t, got, "the one with the backlog has a job out")
		r.Push(fn(2), 0, item{2, 0})
		r.Push(fn(2), 0, item{2, 1})
		synctest.Wait()
		require.Equal(t, item{2, 0}, <-got)
		require.Empty(t, got)
		r.Done(fn(2))
		synctest.Wait()
		require.Equal(t, item{2, 1}, <-got)
		r.Done(fn(1))
		synctest.Wait()
		require.Equal(t, item{1, 1}, <-got)
		r.Done(fn(2))
		r.Push(fn(2), 0, item{2, 2})
		job, err := r.Pop(t.Context())
		require.NoError(t, err)
		require.Equal(t, item{1, 2}, job, "turns are kept")
		synctest.Wait()
		require.Equal(t, item{2, 2}, <-got)
		for range 997 {
			_, err := r.Pop(t.Context())
			require.NoError(t, err)
		}
		require.Zero(t, r.Len())
		r.Close()
	})
}

// Whoever waits for any job gets one before those who are kept for idle
// functions.
func TestPopIdleIsTheLastResort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReady[int]()
		any, idle := make(chan int, 1), make(chan int, 1)
		ctx, cancel := context.WithCancel(t.Context())
		take := func(pop func(context.Context) (int, error), ctx context.Context, to chan int) {
			if job, err := pop(ctx); err == nil {
				to <- job
			}
		}
		go take(r.PopIdle, t.Context(), idle)
		go take(r.Pop, t.Context(), any)
		synctest.Wait()
		r.Push(fn(1), 0, 1)
		synctest.Wait()
		require.Equal(t, 1, <-any)
		require.Empty(t, idle)
		go take(r.Pop, ctx, any)
		synctest.Wait()
		cancel()
		synctest.Wait()
		r.Push(fn(2), 0, 2)
		synctest.Wait()
		require.Equal(t, 2, <-idle)
	})
}

func TestReadyGivesItsRoomBack(t *testing.T) {
	t.Parallel()
	r := NewReady[*int]()
	for range 10_000 {
		r.Push(fn(1), 0, new(int))
		r.Push(fn(2), 0, new(int))
		_, err := r.Pop(t.Context())
		require.NoError(t, err)
		_, err = r.Pop(t.Context())
		require.NoError(t, err)
	}
	require.Less(t, cap(r.turns.lines), 1000)
	require.Len(t, r.lines, 2)
	for range 10_000 {
		r.Done(fn(1))
		r.Done(fn(2))
	}
	r.Done(fn(1)) // once too often
	r.Push(fn(3), 0, new(int))
	_, err := r.PopIdle(t.Context())
	require.NoError(t, err)
	r.Done(fn(3))
	require.NotContains(t, r.lines, fn(1))
	require.NotContains(t, r.lines, fn(2))
	for range 10_000 {
		r.Push(fn(1), 0, new(int))
	}
	for range 9_900 {
		_, err := r.Pop(t.Context())
		require.NoError(t, err)
	}
	require.LessOrEqual(t, cap(r.lines[fn(1)].jobs), 1000)
}

func TestPopWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReady[int]()
		got := make(chan int, 1)
		go func() {
			job, err := r.Pop(t.Context())
			if err == nil {
				got <- job
			}
		}()
		synctest.Wait()
		require.Empty(t, got)
		r.Push(fn(1), 0, 7)
		synctest.Wait()
		require.Equal(t, 7, <-got)
	})
}

func TestPopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReady[int]()
		why := errors.New("no longer wanted")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended, other := make(chan error, 1), make(chan int, 1)
		go func() {
			_, err := r.Pop(ctx)
			ended <- err
		}()
		go func() {
			job, err := r.Pop(t.Context())
			if err == nil {
				other <- job
			}
		}()
		synctest.Wait()
		cancel(why)
		synctest.Wait()
		require.ErrorIs(t, <-ended, why)
		r.Push(fn(1), 0, 7)
		synctest.Wait()
		require.Equal(t, 7, <-other, "the wake-up was not lost with the one who left")
		r.Push(fn(1), 0, 8)
		_, err := r.Pop(ctx)
		require.ErrorIs(t, err, why)
		require.Equal(t, 1, r.Len())
	})
}

func TestCloseEndsEveryPop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewReady[int]()
		var ended atomic.Int64
		for range 10 {
			go func() {
				if _, err := r.Pop(t.Context()); errors.Is(err, ErrClosed) {
					ended.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.Zero(t, ended.Load())
		r.Close()
		r.Close()
		synctest.Wait()
		require.EqualValues(t, 10, ended.Load())
		r.Push(fn(1), 0, 1)
		_, err := r.Pop(t.Context())
		require.ErrorIs(t, err, ErrClosed, "what is in the line stays unclaimed")
	})
}

func TestReadyConcurrently(t *testing.T) {
	t.Parallel()
	const producers, consumers, each = 4, 8, 2000
	r := NewReady[item]()
	var pushing, popping sync.WaitGroup
	var mu sync.Mutex
	seen := map[item]int{}
	for range consumers {
		popping.Go(func() {
			for {
				job, err := r.Pop(t.Context())
				if err != nil {
					return
				}
				mu.Lock()
				seen[job]++
				done := len(seen) == producers*each
				mu.Unlock()
				if done {
					r.Close()
				}
			}
		})
	}
	for p := range producers {
		pushing.Go(func() {
			for n := range each {
				r.Push(fn(p%3), 0, item{p, n})
			}
		})
	}
	pushing.Wait()
	popping.Wait()
	require.Len(t, seen, producers*each)
	for job, times := range seen {
		require.Equal(t, 1, times, "%v", job)
	}
}

func TestLanes(t *testing.T) {
	t.Parallel()
	for kind, lane := range map[state.JobKind]Lane{
		state.JobStart: LaneCall, state.JobEdge: LaneCall, state.JobEdgeError: LaneCall,
		state.JobSleep: LaneWake, state.JobPause: LaneWake,
	} {
		require.Equal(t, lane, LaneOf(kind), kind)
	}
}

func BenchmarkReady(b *testing.B) {
	for _, functions := range []int{1, 100} {
		b.Run(fmt.Sprint(functions, " functions"), func(b *testing.B) {
			r := NewReady[item]()
			for i := range 10_000 {
				r.Push(fn(i%functions), 0, item{})
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r.Push(fn(i%functions), 0, item{})
				if _, err := r.Pop(b.Context()); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// Each job finds a worker that waits for it.
func BenchmarkReadyHandOver(b *testing.B) {
	r := NewReady[item]()
	done := make(chan struct{})
	for range 32 {
		go func() {
			for {
				if _, err := r.Pop(b.Context()); err != nil {
					return
				}
				done <- struct{}{}
			}
		}()
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Push(fn(1), 0, item{})
		<-done
	}
	r.Close()
}
