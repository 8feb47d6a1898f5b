package bus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelMessage is a message of a simulated log.
type modelMessage struct {
	writer   string
	expected uint64
	record   string
}

// modelWriter is a simulated owner with messages on their way.
type modelWriter struct {
	name   string
	writer string
	next   uint64
	sent   int
	queue  []modelMessage
	acked  []string
	broken bool
}

// model simulates a stream that checks the expected sequence, and owners that
// send without waiting and start anew when they are refused.
type model struct {
	stream []modelMessage
	past   []*modelWriter // all that ever were
	random *rand.Rand
}

func (m *model) start() *modelWriter {
	last := uint64(len(m.stream))
	w := &modelWriter{name: fmt.Sprint("w", len(m.past)), writer: newWriter(last), next: last + 1}
	m.past = append(m.past, w)
	return w
}

func (w *modelWriter) send() {
	w.queue = append(w.queue, modelMessage{w.writer, w.next - 1, fmt.Sprint(w.name, "-", w.sent)})
	w.next++
	w.sent++
}

// arrive lets the stream take the writer's oldest message; its answer is
// known at once.
func (m *model) arrive(w *modelWriter) {
	message := w.queue[0]
	w.queue = w.queue[1:]
	if message.expected != uint64(len(m.stream)) {
		w.broken = true
		return
	}
	m.stream = append(m.stream, message)
	if !w.broken {
		w.acked = append(w.acked, message.record)
	}
}

// kept are the records that readers see from the sequence first on.
func (m *model) kept(first int) (records []string, stray []uint64) {
	var l lineage
	for i, message := range m.stream {
		if i+1 >= first && l.belongs(uint64(i+1), message.writer) {
			records = append(records, message.record)
		}
	}
	return records, l.stray
}

func (m *model) run(steps int) {
	for range steps {
		w := m.past[m.random.IntN(len(m.past))]
		switch what := m.random.IntN(10); {
		case what < 4 && !w.broken:
			w.send()
		case what < 9 && len(w.queue) > 0:
			m.arrive(w)
		case what == 9 && m.random.IntN(4) == 0:
			m.start()
		}
	}
	for _, w := range m.past {
		for len(w.queue) > 0 {
			m.arrive(w)
		}
	}
}

// Readers see exactly what writers were told is stored, of each writer a
// beginning without gaps, and the same wherever the log has been purged.
func TestLineageModel(t *testing.T) {
	t.Parallel()
	strays := 0
	for seed := range uint64(1000) {
		m := &model{random: rand.New(rand.NewPCG(seed, 1))}
		m.start()
		m.run(150)
		kept, stray := m.kept(1)
		strays += len(stray)
		var acked []string
		position := map[string]int{}
		for i, record := range kept {
			position[record] = i
		}
		for _, w := range m.past {
			for i, record := range w.acked {
				require.Equal(t, fmt.Sprint(w.name, "-", i), record, "seed %d", seed)
				require.Contains(t, position, record, "seed %d", seed)
				if i > 0 {
					require.Equal(t, position[w.acked[i-1]]+1, position[record], "seed %d: nothing comes between", seed)
				}
			}
			acked = append(acked, w.acked...)
		}
		require.ElementsMatch(t, acked, kept, "seed %d", seed)
		m.requirePurgeable(t, seed, kept, stray)
	}
	require.NotZero(t, strays, "the simulation never went where it should")
}

// requirePurgeable purges the log at every place.
func (m *model) requirePurgeable(t *testing.T, seed uint64, kept []string, stray []uint64) {
	t.Helper()
	isStray := map[uint64]bool{}
	for _, seq := range stray {
		isStray[seq] = true
	}
	var known uint64
	for seq := uint64(1); seq <= uint64(len(m.stream)); seq++ {
		if !isStray[seq] {
			known = seq
		}
	}
	for upTo := range uint64(len(m.stream)) + 2 {
		cut := purgeable(upTo, known, stray)
		left, _ := m.kept(int(cut) + 1)
		require.Equal(t, kept[len(kept)-len(left):], left, "seed %d, purged up to %d", seed, cut)
		if len(kept) > 0 {
			require.NotEmpty(t, left, "seed %d", seed)
		}
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	const a, b, c = "1.a", "3.b", "6.c"
	for name, tc := range map[string]struct {
		first   uint64
		writers []string
		stray   []uint64
	}{
		"one owner":                   {1, []string{a, a, a}, nil},
		"handed over":                 {1, []string{a, a, b, b, b, c, c}, nil},
		"a stale message":             {1, []string{a, a, b, a, b, c}, []uint64{4, 5}},
		"stale ones in a row":         {1, []string{a, a, b, a, a, c}, []uint64{4, 5}},
		"purged":                      {4, []string{b, b, c}, nil},
		"another with the same first": {1, []string{a, a, b, "3.z", "5.d"}, []uint64{4}},
		"no writer":                   {1, []string{a, "", a, "4.d"}, []uint64{2, 3}},
		"nonsense":                    {1, []string{a, "2", ".", "x", "5"}, []uint64{2, 3, 4, 5}},
		"no writer at the front":      {4, []string{"", b, c}, []uint64{4, 5}},
	} {
		var l lineage
		for i, writer := range tc.writers {
			seq := tc.first + uint64(i)
			require.Equal(t, !slices.Contains(tc.stray, seq), l.belongs(seq, writer), "%s: message %d", name, seq)
		}
		require.Equal(t, tc.stray, l.stray, name)
	}
}
