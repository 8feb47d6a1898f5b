package api

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// health is GET /health: the process answers.
func (s *Server) health(c echo.Context) error {
	s.sendJSON(c, http.StatusOK, []byte(`{"status":200,"message":"OK"}`+"\n"))
	return nil
}

// ready is GET /ready: 200 once the server can do its work, else 503 with the
// reasons.
func (s *Server) ready(c echo.Context) error {
	reasons := s.cfg.NotReady()
	if len(reasons) == 0 {
		return s.health(c)
	}
	s.send(c, http.StatusServiceUnavailable, struct {
		Status  int      `json:"status"`
		Message string   `json:"message"`
		Reasons []string `json:"reasons"`
	}{http.StatusServiceUnavailable, "Not ready", reasons})
	return nil
}

// queueDepth is the metric by which installations are scaled (http-api §8).
func queueDepth(depth func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "inngest_queue_depth",
		Help: "Total depth of all system queues including backlog and ready state items",
	}, depth)
}

// metrics is GET /metrics. It stays open in start mode: the scrapers of
// existing installations have no key, and it tells numbers only.
func (s *Server) metrics() echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}))
}
