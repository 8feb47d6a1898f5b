package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/history/catalog"
	"jetstep/history/database"
)

// migratePostgres adopts the database of a server of the original.
func (p process) migratePostgres(ctx context.Context, cmd *cli.Command) (err error) {
	opts, err := p.historyOptions(cmd)
	if err != nil {
		return err
	}
	if cmd.Bool("dry-run") {
		return p.previewPostgres(ctx, opts)
	}
	h, openErr := openHistory(ctx, opts, quietLog(p.stderr))
	if h != nil {
		defer func() { err = errors.Join(err, h.close()) }()
	}
	if openErr != nil {
		return openErr
	}
	if _, err := h.store.TakeUp(ctx); err != nil {
		return err
	}
	registry := h.bus.Registry()
	before, _ := registered(registry)
	adoption := catalog.New(catalog.Config{Registry: registry, Store: h.store, Logger: quietLog(p.stderr)})
	if err := adoption.Adopt(ctx); err != nil {
		return err
	}
	apps, functions := registered(registry)
	runs, err := h.store.CountRuns(ctx, database.RunFilter{})
	if err != nil {
		return err
	}
	events, err := h.store.CountEvents(ctx, database.EventFilter{Internal: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s is adopted:\n", databaseLocation(opts))
	fmt.Fprintf(p.stdout, "  %d apps with %d functions are registered, of which %d apps were taken over now\n", apps, functions, apps-before)
	fmt.Fprintf(p.stdout, "  %d runs and %d events are shown\n", runs, events)
	return nil
}

// registered counts what the registry has.
func registered(r *bus.Registry) (apps, functions int) {
	for app := range r.Catalog().All() {
		apps++
		functions += len(app.Functions)
	}
	return apps, functions
}

// previewPostgres tells what adopting a database would do.
func (p process) previewPostgres(ctx context.Context, opts config.Options) (err error) {
	store, err := database.New(database.Options{URI: opts.Original.PostgresURI, Dir: opts.SQLiteDir, Log: quietLog(p.stderr)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	what, readable, err := store.Preview(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %s.\n", databaseLocation(opts), what)
	if !readable {
		fmt.Fprintln(p.stdout, "Nothing was changed. What it has is known once its schema is.")
		return nil
	}
	apps, err := store.Apps(ctx, false)
	if err != nil {
		return err
	}
	functions, err := store.Functions(ctx, false)
	if err != nil {
		return err
	}
	events, err := store.CountEvents(ctx, database.EventFilter{Internal: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "It has %d apps with %d functions, which would be taken over unless they are registered already, and %d events.\n",
		len(apps), len(functions), events)
	for _, app := range apps {
		fmt.Fprintf(p.stdout, "  %s %s\n", app.Name, app.URL)
	}
	fmt.Fprintln(p.stdout, "Nothing was changed.")
	return nil
}
