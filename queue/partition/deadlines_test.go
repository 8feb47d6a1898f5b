package partition

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/state"
)

// The heap against a map, through random changes.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var d deadlines
	model := map[state.GateKey]int64{}
	least := func() (due int64) {
		for _, at := range model {
			if due == 0 || at < due {
				due = at
			}
		}
		return due
	}
	for range 5000 {
		key := state.GateKey{byte(random.IntN(40))}
		switch random.IntN(3) {
		case 0:
			d.remove(key)
			delete(model, key)
		default:
			due := 1 + random.Int64N(1000)
			model[key] = due
			d.set(key, due)
		}
		key, due, ok := d.next()
		require.Equal(t, len(model) > 0, ok)
		require.Equal(t, least(), due)
		require.Equal(t, due, model[key])
		require.Len(t, d.at, len(model))
	}
}
