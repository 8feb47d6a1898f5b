package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// health is GET /health: the process answers.
func (s *Server) health(c echo.Context) error {
	s.sendJSON(c, http.StatusOK, []byte(`{"status":200,"message":"OK"}`+"\n"))
	return nil
}

// readiness is the answer of GET /ready.
type readiness struct {
	Status  int           `json:"status"`
	Message string        `json:"message"`
	Reasons []string      `json:"reasons,omitempty"`
	History *historyState `json:"history,omitempty"`
	Drain   string        `json:"drain,omitempty"`
}

// historyState says nothing of why: the route is open.
type historyState struct {
	State      string  `json:"state"` // ok, lagging or unavailable
	Behind     uint64  `json:"messages_behind"`
	AgeSeconds float64 `json:"seconds_behind"`
}

// laggingAfter is how far behind the history may be without being called lagging.
const laggingAfter = 10 * time.Second

func (s *Server) historyState() *historyState {
	if s.cfg.Projection == nil {
		return nil
	}
	p := s.cfg.Projection()
	state := &historyState{State: "ok", Behind: p.Behind, AgeSeconds: p.Age.Round(time.Millisecond).Seconds()}
	switch {
	case !p.Available:
		state.State = "unavailable"
	case p.Age > laggingAfter:
		state.State = "lagging"
	}
	return state
}

// ready is GET /ready: 200 once the server can do its work, else 503 with the
// reasons. The history is told about, but is none: nothing that executes waits
// for it.
func (s *Server) ready(c echo.Context) error {
	answer := readiness{Status: http.StatusOK, Message: "OK", Reasons: s.cfg.NotReady(), History: s.historyState()}
	if s.cfg.Draining != nil {
		answer.Drain = s.cfg.Draining()
	}
	if len(answer.Reasons) > 0 {
		answer.Status, answer.Message = http.StatusServiceUnavailable, "Not ready"
	}
	s.send(c, answer.Status, answer)
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
