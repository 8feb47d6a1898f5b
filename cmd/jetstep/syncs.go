package main

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api"
	"jetstep/api/appsync"
)

// countedApps counts the registrations that apps ask for, on their way to the
// syncer.
type countedApps struct {
	api.Apps
	syncs *prometheus.CounterVec
}

// The outcomes of a registration.
const (
	syncChanged   = "changed"
	syncUnchanged = "unchanged"
	syncRefused   = "refused"
)

func newCountedApps(apps api.Apps, registry prometheus.Registerer) (*countedApps, error) {
	c := &countedApps{Apps: apps, syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jetstep_syncs_total", Help: "Registrations that apps asked for, by outcome",
	}, []string{"outcome"})}
	for _, outcome := range []string{syncChanged, syncUnchanged, syncRefused} {
		c.syncs.WithLabelValues(outcome) // shown as 0 until it occurs
	}
	return c, registry.Register(c.syncs)
}

// Register implements api.Apps.
func (c *countedApps) Register(ctx context.Context, header http.Header, body []byte) (appsync.Response, error) {
	answer, err := c.Apps.Register(ctx, header, body)
	outcome := syncUnchanged
	switch {
	case err != nil:
		outcome = syncRefused
	case answer.Modified:
		outcome = syncChanged
	}
	c.syncs.WithLabelValues(outcome).Inc()
	return answer, err
}
