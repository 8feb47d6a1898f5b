package main

import (
	"log/slog"

	"jetstep/api"
	"jetstep/api/ingest"
	"jetstep/api/mcp"
	"jetstep/api/runstream"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/docs"
	"jetstep/history/reader"
)

// liveAPIs adds what shows the server at work: streams of runs, and the tools
// for AI clients. Both are closed by Shutdown.
func (s *services) liveAPIs(cfg *api.Config, opts config.Options, read *reader.Reader, events *ingest.Ingester, log *slog.Logger) {
	s.changes = runstream.NewHub(s.engine.bus, log.With("caller", "runstream"))
	cfg.Changes, cfg.Spans = s.changes, read
	s.tools = mcp.New(mcp.Config{
		REST: cfg.V2, Events: events, Catalog: s.engine.bus.Registry(), Docs: docs.Pages, Version: versionString(),
		Trusted: opts.Mode == config.Start, Logger: log.With("caller", "mcp"),
	})
	cfg.MCP = s.tools
}
