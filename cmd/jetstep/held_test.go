package main

import (
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/queue/gate"
)

func TestHeldJobs(t *testing.T) {
	t.Parallel()
	fn, namesake := uuid.New(), uuid.New()
	var waiting []gate.Waiting
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(heldJobs{
		waiting: func() []gate.Waiting { return waiting },
		slug: func(id uuid.UUID) string {
			require.Contains(t, []uuid.UUID{fn, namesake}, id)
			return "shop-pay"
		},
	}))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families, "nothing waits")

	waiting = []gate.Waiting{{Function: fn, Limit: "throttle", Jobs: 3}, {Function: fn, Limit: "runs", Jobs: 1}, {Function: namesake, Limit: "runs", Jobs: 1}}
	families, err = registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "jetstep_jobs_held", families[0].GetName())
	values := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		require.Equal(t, "shop-pay", m.GetLabel()[1].GetValue())
		values[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	require.Equal(t, map[string]float64{"throttle": 3, "runs": 2}, values)
}
