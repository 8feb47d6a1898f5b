package state

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// seeds runs a property for a number of random histories.
func seeds(t *testing.T, property func(t *testing.T, seed uint64)) {
	n := uint64(40)
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			property(t, seed)
		})
	}
}

// written is what a reader of the log gets of the records.
func written(t *testing.T, records []*Record) []*Record {
	t.Helper()
	var e Encoder
	for _, r := range records {
		e.Add(r)
	}
	var read []*Record
	require.NoError(t, Decode(e.Bytes(), func(r *Record) error {
		read = append(read, r)
		return nil
	}))
	require.Len(t, read, len(records))
	return read
}

func TestReplayGivesTheSameIndex(t *testing.T) {
	t.Parallel()
	seeds(t, func(t *testing.T, seed uint64) {
		a := newAuthor(seed)
		records := a.records(300)
		requireConsistent(t, a.index)
		requireSame(t, a.index, replay(records), a.now, "once more")
		requireSame(t, a.index, replay(written(t, records)), a.now, "as read from the log")
	})
}

// Every op is idempotent, so that a record may be applied twice in a row. For
// those that an owner carries forward (RunPut, WatchPut, SignalPut, Marks,
// Sent, Confirmed, CronTicked, KeyClaimed) compaction depends on it.
func TestRecordsAppliedTwiceInARow(t *testing.T) {
	t.Parallel()
	seeds(t, func(t *testing.T, seed uint64) {
		a := newAuthor(seed)
		twice := NewIndex()
		for i := range 300 {
			r := a.next()
			for _, op := range r.Ops {
				twice.ApplyOp(op, r.At)
				twice.ApplyOp(op, r.At)
			}
			twice.Apply(r)
			if i%10 == 0 {
				requireSame(t, a.index, twice, a.now, "in between")
			}
		}
		requireSame(t, a.index, twice, a.now, "at the end")
		requireConsistent(t, twice)
	})
}

// A log that is compacted while it grows replays to the same state, before,
// during and after every walk, whatever the size of its chunks.
func TestCarriedLogReplaysToTheSameIndex(t *testing.T) {
	t.Parallel()
	seeds(t, func(t *testing.T, seed uint64) {
		a := newAuthor(seed)
		dice := rand.New(rand.NewPCG(seed, 2))
		var log []*Record
		var walk *Carry
		cut, purges := 0, 0
		for i := range 400 {
			log = append(log, a.next())
			freezeSome(a, dice)
			switch {
			case walk == nil && dice.IntN(20) == 0:
				walk, cut = a.index.Carry(), len(log)
			case walk != nil && dice.IntN(2) == 0:
				ops := walk.Next(1 + dice.IntN(5000))
				if len(ops) > 0 {
					log = append(log, &Record{At: a.now, Ops: ops})
					break
				}
				log, walk = log[cut:], nil
				purges++
				requireSame(t, a.index, replay(written(t, log)), a.now, "after a purge")
			}
			if i%50 == 0 {
				requireSame(t, a.index, replay(written(t, log)), a.now, "in between")
			}
		}
		requireSame(t, a.index, replay(written(t, log)), a.now, "at the end")
		require.Positive(t, purges)
	})
}

// freezeSome does to the index in memory what owners do: it must not be seen.
func freezeSome(a *author, dice *rand.Rand) {
	if r := a.run(); r != nil && dice.IntN(3) == 0 {
		a.index.Freeze(r.ID)
	}
}

func TestViewsDoNotChange(t *testing.T) {
	t.Parallel()
	seeds(t, func(t *testing.T, seed uint64) {
		a := newAuthor(seed)
		type kept struct {
			view *Run
			was  string
		}
		var views []kept
		for i := range 300 {
			a.next()
			if r := a.run(); r != nil && i%5 == 0 {
				if i%10 == 0 {
					a.index.Freeze(r.ID)
				}
				v, ok := a.index.View(r.ID)
				require.True(t, ok)
				views = append(views, kept{v, encoded(v)})
			}
		}
		for _, k := range views {
			require.Equal(t, k.was, encoded(k.view), "run %s", k.view.ID)
		}
	})
}

// encoded is a run as the log has it.
func encoded(r *Run) string {
	c := coder{}
	r.code(&c)
	return string(c.b)
}

func TestRecordsAreNotChangedByWhatFollows(t *testing.T) {
	t.Parallel()
	// Effects read records after later ones were applied.
	a := newAuthor(7)
	var records []*Record
	var want []string
	for range 300 {
		r := a.next()
		records = append(records, r)
		want = append(want, encodedRecord(r))
	}
	for i, r := range records {
		require.Equal(t, want[i], encodedRecord(r), "record %d", i)
	}
}

func encodedRecord(r *Record) string {
	var e Encoder
	e.Add(r)
	return string(e.Bytes())
}
