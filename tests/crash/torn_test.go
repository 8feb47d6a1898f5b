package crash_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// damages are what a power cut, or a bad disk, can do to the newest block of a
// stream, whose last bytes were not synced. NATS reads a block up to the first
// message that is not whole and has its checksum, and goes on from there.
var damages = []struct {
	name string
	do   func(block []byte) []byte
	lost int // messages at most
}{
	{"last byte missing", func(b []byte) []byte { return cut(b, 1) }, 1},
	{"last message torn", func(b []byte) []byte { return cut(b, 100) }, 1},
	{"end overwritten", func(b []byte) []byte { return append(cut(b, 64), bytes.Repeat([]byte{0xAA}, 64)...) }, 1},
	{"zeros appended", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, 0},
	{"many messages missing", func(b []byte) []byte { return cut(b, 20<<10) }, all},
	{"all missing", func([]byte) []byte { return nil }, all},
}

const all = math.MaxInt

// cut is all but the last n bytes.
func cut(b []byte, n int) []byte { return b[:max(len(b)-n, 0)] }

// TestTornTail kills a server, damages the end of one of its streams, and
// starts it again. It loses what stood there: events, or the last transitions
// of runs, which may then be made again. It has to go on with everything else,
// and to work for what is sent to it now as if nothing had been.
func TestTornTail(t *testing.T) {
	t.Parallel()
	for i, stream := range []string{"EVENTS", "LOG_0", "LOG_1"} {
		for j, damage := range damages {
			if testing.Short() && j != 1 {
				continue
			}
			t.Run(stream+", "+damage.name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(uint64(100*i+j), *seedOffset))
				lost := tornTail(t, rng, []string{stream}, damage.do)
				if stream == "EVENTS" || damage.lost == 0 { // a message of a log is of many runs
					require.LessOrEqual(t, lost, damage.lost)
				}
			})
		}
	}
}

// TestPowerCut takes from every stream some of its last bytes, more from one
// than from the other: what one partition knows to have told another is
// forgotten by either.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	seeds := uint64(6)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, *seedOffset))
			tornTail(t, rng, []string{"EVENTS", "LOG_0", "LOG_1", "IN_0", "IN_1"}, func(block []byte) []byte {
				return cut(block, rng.IntN(2)*rng.IntN(16<<10))
			})
		})
	}
}

// tornTail returns how many of the events that were sent before the damage
// have no run that ended.
func tornTail(t *testing.T, rng *rand.Rand, streams []string, damage func([]byte) []byte) (lost int) {
	const old, fresh = 150, 100
	s := newSite(t, siteConfig{servers: [][]string{nil}, partitions: 2})
	require.NoError(t, <-s.sender.start(s.ctx, makeBatches(rng, scripts[work].trigger, 0, old, 0)))
	pause(s, time.Duration(rng.Int64N(int64(time.Second))))
	s.killServer(0)

	for _, stream := range streams {
		block := newestBlock(t, filepath.Join(s.storeDir(0), "jetstream", "$G", "streams", stream, "msgs"))
		content, err := os.ReadFile(block)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(block, damage(content), 0o600))
	}
	s.restartServer(0)

	before := s.sender.required
	s.sender.required = map[key]bool{}
	require.NoError(t, <-s.sender.start(s.ctx, makeBatches(rng, scripts[work].trigger, old, fresh, 0)))
	s.awaitQuiet()
	for k := range s.sender.required {
		require.Len(t, s.ledger.started[k], 1, k)
		require.Empty(t, s.ledger.started[k][0].wrongs(), k)
	}
	open := s.ledger.open(before)
	t.Logf("%d of %d events sent before have no run that ended; recovery %s; %s", len(open), len(before), spread(s.recoveries), atMost(1, open))
	s.stop()
	return len(open)
}

// newestBlock is the file that a stream is being appended to.
func newestBlock(t *testing.T, dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	number := func(file string) int {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".blk"))
		require.NoError(t, err)
		return n
	}
	return slices.MaxFunc(files, func(a, b string) int { return number(a) - number(b) })
}
