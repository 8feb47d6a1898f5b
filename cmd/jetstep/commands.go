package main

import (
	"log/slog"

	"jetstep/api/appsync"
	"jetstep/api/command"
	"jetstep/api/ingest"
)

// newCommands carries out what people ask the APIs for, with the parts that
// they are to go through.
func newCommands(e *engine, events *ingest.Ingester, syncer *appsync.Syncer, log *slog.Logger) *command.Commands {
	return command.New(command.Config{
		Engine: e.node, Registry: e.bus.Registry(), Reader: e.view, Events: events, Apps: syncer, Log: log.With("caller", "command"),
	})
}
