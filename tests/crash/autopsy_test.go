package crash_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

// storeDir is where a server of a site keeps its streams.
func (s *site) storeDir(i int) string {
	return filepath.Join(s.servers[i].Config().Dir, ".jetstep", "nats")
}

// autopsy opens the streams of an embedded server that has ended. It wants
// that the end of each run was published once (an event that was sent again,
// with the same source, counts once), and tells whether logs were compacted.
func (s *site) autopsy() (compacted bool) {
	b, err := bus.Open(s.ctx, bus.Config{StoreDir: s.storeDir(0)})
	require.NoError(s.t, err)
	defer b.Close()

	ends := map[string]bus.Source{}
	err = b.EventsBetween(s.ctx, scripts[audit].trigger, 0, b.LastEvent(), func(d *bus.Delivery) bool {
		run := endedRun(s.t, d)
		require.NotNil(s.t, d.Source)
		source := bus.Source{From: d.Source.From, N: d.Source.N}
		if before, ok := ends[run]; ok {
			require.Equal(s.t, before, source, "the end of run %s was published twice", run)
		}
		ends[run] = source
		return true
	})
	require.NoError(s.t, err)
	require.Len(s.t, ends, len(s.ledger.runs))

	for p := range b.Partitions() {
		log, err := b.OpenLog(p)
		require.NoError(s.t, err)
		first, _, err := log.Bounds(s.ctx)
		require.NoError(s.t, err)
		compacted = compacted || first > 1
		log.Close()
	}
	return compacted
}

func endedRun(t *testing.T, d *bus.Delivery) string {
	e, err := d.Event()
	require.NoError(t, err)
	var data struct {
		RunID string `json:"run_id"`
	}
	require.NoError(t, json.Unmarshal(e.Data, &data))
	require.NotEmpty(t, data.RunID)
	return data.RunID
}
