package realtime

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// shown are the values of a server's metrics.
func shown(t *testing.T, s *Server) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(s))
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		m := family.GetMetric()[0]
		values[family.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return values
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	require.Equal(t, map[string]float64{
		"jetstep_realtime_messages_total": 0, "jetstep_realtime_subscribers": 0, "jetstep_realtime_slow_subscribers_total": 0,
	}, shown(t, f.Server))
	f.connect(t, f.token(t, "c", "n"))
	f.publish(t, "channel=c&topic=n", "1")
	f.post(t, "/publish/tee?channel=c", "bytes")
	f.disconnected(reasonSlow)
	f.disconnected(reasonClosing)
	f.disconnected(nil)
	require.Equal(t, map[string]float64{
		"jetstep_realtime_messages_total": 2, "jetstep_realtime_subscribers": 1, "jetstep_realtime_slow_subscribers_total": 1,
	}, shown(t, f.Server))
}
