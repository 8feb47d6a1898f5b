package main

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/api"
	"jetstep/api/appsync"
)

// registering answers each registration with the next of its outcomes.
type registering struct {
	api.Apps
	answers []appsync.Response
	err     error
}

func (r *registering) Register(context.Context, http.Header, []byte) (appsync.Response, error) {
	if len(r.answers) == 0 {
		return appsync.Response{}, r.err
	}
	next := r.answers[0]
	r.answers = r.answers[1:]
	return next, nil
}

func TestSyncsAreCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	down := errors.New("no")
	apps, err := newCountedApps(&registering{answers: []appsync.Response{{Modified: true}, {}, {}}, err: down}, registry)
	require.NoError(t, err)
	for i := range 4 {
		_, err := apps.Register(t.Context(), nil, nil)
		require.Equal(t, i == 3, errors.Is(err, down))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	require.Equal(t, map[string]float64{syncChanged: 1, syncUnchanged: 2, syncRefused: 1}, counts)
}
