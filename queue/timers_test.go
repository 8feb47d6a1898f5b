package queue

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// A heap and a sorted list get the same random treatment.
func TestTimersAreASortedList(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 0))
		var timers Timers
		var model []int64 // due times, ascending
		for range 2000 {
			switch dice.IntN(10) {
			case 0, 1, 2, 3, 4:
				due := dice.Int64N(1000)
				timers.Add(Timer{Due: due, RunID: runOf(due)})
				at, _ := slices.BinarySearch(model, due)
				model = slices.Insert(model, at, due)
			case 5:
				refused := dice.Int64N(5)
				kept := func(due int64) bool { return due%5 != refused }
				timers.Keep(func(t Timer) bool { return kept(t.Due) })
				model = slices.DeleteFunc(model, func(due int64) bool { return !kept(due) })
			default:
				now := dice.Int64N(1000)
				got, ok := timers.Pop(now)
				require.Equal(t, len(model) > 0 && model[0] <= now, ok)
				if ok {
					require.Equal(t, Timer{Due: model[0], RunID: runOf(model[0])}, got)
					model = model[1:]
				}
			}
			require.Equal(t, len(model), timers.Len())
			next, ok := timers.Next()
			require.Equal(t, len(model) > 0, ok)
			if ok {
				require.Equal(t, model[0], next)
			}
		}
		for _, due := range model {
			got, ok := timers.Pop(1 << 60)
			require.True(t, ok)
			require.Equal(t, due, got.Due)
		}
		_, ok := timers.Pop(1 << 60)
		require.False(t, ok)
	}
}

// runOf is a run id of its own for each n.
func runOf(n int64) (id ulid.ULID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func TestTimersOfTheSameMomentAllCome(t *testing.T) {
	t.Parallel()
	var timers Timers
	want := map[ulid.ULID]bool{}
	for i := range int64(100) {
		timers.Add(Timer{Due: 5, RunID: runOf(i)})
		want[runOf(i)] = true
	}
	_, ok := timers.Pop(4)
	require.False(t, ok, "not early")
	for range 100 {
		timer, ok := timers.Pop(5)
		require.True(t, ok)
		require.True(t, want[timer.RunID])
		delete(want, timer.RunID)
	}
	require.Empty(t, want)
}

func TestTimersKeepNone(t *testing.T) {
	t.Parallel()
	var timers Timers
	timers.Keep(func(Timer) bool { return false })
	timers.Add(Timer{Due: 1})
	timers.Keep(func(Timer) bool { return false })
	require.Zero(t, timers.Len())
	_, ok := timers.Next()
	require.False(t, ok)
	timers.Add(Timer{Due: 2})
	next, ok := timers.Next()
	require.True(t, ok)
	require.EqualValues(t, 2, next)
}

func BenchmarkTimers(b *testing.B) {
	for _, size := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dice := rand.New(rand.NewPCG(1, 1))
			var timers Timers
			for range size {
				timers.Add(Timer{Due: dice.Int64N(1 << 40)})
			}
			b.ReportAllocs()
			for b.Loop() {
				timers.Add(Timer{Due: dice.Int64N(1 << 40)})
				timers.Pop(1 << 41)
			}
		})
	}
}

func BenchmarkTimersKeep(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 1))
	due := make([]int64, 100_000)
	for i := range due {
		due[i] = dice.Int64N(1 << 40)
	}
	for b.Loop() {
		b.StopTimer()
		var timers Timers
		for _, d := range due {
			timers.Add(Timer{Due: d})
		}
		b.StartTimer()
		timers.Keep(func(t Timer) bool { return t.Due%2 == 0 })
	}
}
