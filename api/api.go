// Package api owns the HTTP interface of the server on its main port: routes,
// authentication, headers, the shape of every answer and error (http-api).
//
// It guarantees that an error has the status that it deserves, that nothing of
// an error's cause leaves the server but what its message says, and that in
// start mode every route needs a key which reads or changes anything: only
// health, readiness and metrics are open, for probes and scrapers that have
// none. It decides nothing about runs: it parses, asks the contracts in this
// package, and answers.
package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"jetstep/api/otlp"
	"jetstep/api/realtime"
	"jetstep/api/runstream"
	"jetstep/history"
)

// Mode is how the server was started.
type Mode string

// In Dev everything is open and every event key is right; Start needs keys.
const (
	Dev   Mode = "dev"
	Start Mode = "start"
)

// Kind is what SDKs are told the server is: "dev", or "cloud" also when it is
// self-hosted (http-api §3).
func (m Mode) Kind() string {
	if m == Start {
		return "cloud"
	}
	return "dev"
}

// Config is what a Server needs. All fields are required unless they say
// otherwise.
type Config struct {
	Mode    Mode
	Version string
	// SigningKeys are the tokens' keys: the primary one and those that are
	// still accepted. Without any, which only Dev allows, nothing is checked.
	SigningKeys  []string
	StartOptions any  // shown by GET /dev as they are; optional
	UI           bool // serve the page at / and GraphQL

	Events   Events
	Apps     Apps
	Catalog  Catalog
	Controls Controls
	History  history.Reader
	Runs     Runs
	Realtime *realtime.Server // closed by its owner
	Traces   *otlp.Server
	Signals  Signals
	Limits   Limits
	// Endpoints are runs that apps begin, and Metadata is what apps attach to
	// runs.
	Endpoints Endpoints
	Metadata  Metadata
	// GraphQL answers /v0/gql, V2 what is below /v2 and /api/v2, and MCP /mcp.
	// Without them these answer 501.
	GraphQL, V2, MCP http.Handler
	// Changes tells of which runs there is something new, for streams of them;
	// closed by its owner. Spans are what these show besides.
	Changes *runstream.Hub
	Spans   Spans
	// Testing adds the routes below /test, which ask for no key; nil for none.
	Testing Testing
	// NotReady says why the server cannot work yet; nothing when it can.
	NotReady func() []string
	// Draining says in words what is left elsewhere, to be brought to its end;
	// optional.
	Draining func() string
	// Projection tells how far the history is behind; optional.
	Projection func() Projection
	// QueueDepth is the number of jobs that are due or will be.
	QueueDepth func() float64
	Metrics    *prometheus.Registry

	Logger *slog.Logger     // default: none
	Now    func() time.Time // default: time.Now
}

// Server answers HTTP requests.
type Server struct {
	cfg    Config
	log    *slog.Logger
	echo   *echo.Echo
	tokens runTokens
	// streams are of runs that are watched.
	streams *runstream.Server
	// outputWait is how long a request for a result waits.
	outputWait time.Duration
}

// New makes a Server and registers its metrics. It fails if Start is to run
// without a key, or a metric is registered already.
func New(cfg Config) (*Server, error) {
	if cfg.Mode == Start && !hasKey(cfg.SigningKeys) {
		return nil, errors.New("api: a server in start mode needs a signing key")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, echo: echo.New(), tokens: newRunTokens(cfg.SigningKeys, cfg.Now), outputWait: outputWait,
	}
	s.streams = runstream.New(watched{s}, cfg.Changes, s.log)
	if err := cfg.Metrics.Register(queueDepth(cfg.QueueDepth)); err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	s.echo.HTTPErrorHandler = s.answerError
	s.echo.Pre(s.headers)
	s.echo.Use(s.recoverPanics, decodeParams)
	for _, r := range s.routes() {
		s.echo.Add(r.method, r.path, r.handler, s.guards(r.access)...)
	}
	return s, nil
}

func hasKey(keys []string) bool {
	for _, key := range keys {
		if key != "" {
			return true
		}
	}
	return false
}

// Handler serves all routes.
func (s *Server) Handler() http.Handler { return s.echo }

// HTTPServer is a server with the Handler and with time limits against clients
// that stall. Answers have none: some wait for a run.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}
