package main

import (
	"log/slog"

	"jetstep/api/appsync"
	"jetstep/api/command"
	"jetstep/api/ingest"
	"jetstep/history/reader"
)

// newCommands carries out what people ask the APIs for, with the parts that
// they are to go through. What is repeated is read from the database alone:
// what is known live of a run that has just ended is not all of it.
func newCommands(e *engine, read *reader.Reader, events *ingest.Ingester, syncer *appsync.Syncer, log *slog.Logger) *command.Commands {
	return command.New(command.Config{
		Engine: e.path, Registry: e.bus.Registry(), Reader: read, Events: events, Apps: syncer, Log: log.With("caller", "command"),
	})
}
