package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	r := NewRedis()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(r))
	require.InDelta(t, 1, values(t, registry)["jetstep_redis_available"], 0)
	for _, away := range []bool{true, false, true} {
		r.Away(away)
	}
	r.SetAside("item", "no_run")
	r.SetAside("item", "no_run")
	r.PutRight("pointer")
	got := values(t, registry)
	for name, want := range map[string]float64{
		"jetstep_redis_available": 0, "jetstep_redis_outages_total": 2,
		"jetstep_redis_set_aside_total{item,no_run}": 2, "jetstep_redis_put_right_total{pointer}": 1,
	} {
		require.InDelta(t, want, got[name], 0, "%s of %v", name, got)
	}
}
