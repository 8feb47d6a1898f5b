package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/history/database"
	"jetstep/history/projector"
)

// historyCommand looks after the SQL database in which people see what happened.
func historyCommand(p process) *cli.Command {
	return &cli.Command{
		Name:        "history",
		Usage:       "look after the history, the SQL database that servers write what happened to",
		Description: "It finds the database and the streams by the same options as start.",
		Commands: []*cli.Command{
			{
				Name:            "status",
				Usage:           "show how far the history is",
				HideHelpCommand: true,
				Flags:           historyFlags(),
				Action:          func(ctx context.Context, cmd *cli.Command) error { return p.historyStatus(ctx, cmd) },
			},
			{
				Name:  "rebuild",
				Usage: "make the history anew from what the logs hold; no server may be running",
				Description: "Without --yes it only says what it would do. The next server writes the rows. " +
					"Runs that logs no longer hold, since they have ended, are kept as they are.",
				HideHelpCommand: true,
				Flags: append(historyFlags(),
					&cli.BoolFlag{Name: "yes", HideDefault: true, Usage: "do it"},
					&cli.BoolFlag{Name: "drop-ended", HideDefault: true, Usage: "also delete what logs no longer hold: it cannot be made again"}),
				Action: func(ctx context.Context, cmd *cli.Command) error { return p.historyRebuild(ctx, cmd) },
			},
		},
	}
}

// historyFlags are the options that say where things are.
func historyFlags() []cli.Flag {
	var flags []cli.Flag
	for _, o := range config.OptionsOf(config.Dev) {
		if o.Places() {
			flags = append(flags, flagOf(o, false))
		}
	}
	return flags
}

// historyOptions are the options of a server whose data are kept; an error has
// been told.
func (p process) historyOptions(cmd *cli.Command) (config.Options, error) {
	given := config.Given{"persist": true}
	for _, o := range config.OptionsOf(config.Dev) {
		if o.Places() && cmd.IsSet(o.Name) {
			given[o.Name] = cmd.Value(o.Name)
		}
	}
	return p.load(config.Dev, given)
}

// keptHistory is the database, and the streams when they can be opened.
type keptHistory struct {
	store *database.Store
	bus   *bus.Bus // nil while an embedded server has them
	dirs  *dirs
}

func (h *keptHistory) close() error {
	if h.bus != nil {
		h.bus.Close()
	}
	return errors.Join(h.store.Close(), releaseDirs(h.dirs))
}

// openHistory opens the database, and claims and opens the rest. With an error
// that is errHistoryInUse the history can be read.
func openHistory(ctx context.Context, opts config.Options, log *slog.Logger) (*keptHistory, error) {
	claimed, claimErr := claimDirs(&opts)
	if claimErr != nil {
		claimErr = fmt.Errorf("%w: %w", errHistoryInUse, claimErr)
	}
	store, err := database.Open(ctx, database.Options{URI: opts.Original.PostgresURI, Dir: opts.SQLiteDir, Log: log})
	if err != nil {
		return nil, errors.Join(err, releaseDirs(claimed))
	}
	h := &keptHistory{store: store, dirs: claimed}
	if claimErr != nil {
		return h, claimErr
	}
	if h.bus, err = bus.Open(ctx, busConfig(opts, log)); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// errHistoryInUse is wrapped when a server on this machine has the directories.
var errHistoryInUse = errors.New("a server is running")

func releaseDirs(d *dirs) error {
	if d == nil {
		return nil
	}
	return d.release()
}

func (p process) historyStatus(ctx context.Context, cmd *cli.Command) (err error) {
	opts, err := p.historyOptions(cmd)
	if err != nil {
		return err
	}
	h, openErr := openHistory(ctx, opts, quietLog(p.stderr))
	if h == nil {
		return openErr
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if h.bus == nil {
		fmt.Fprintln(p.stdout, "A server is running: how far behind it is its metrics tell (jetstep_projection_lag_messages).")
		return printPlaces(ctx, p.stdout, h.store)
	}
	lags, err := projector.Streams(ctx, h.bus, h.store)
	if err != nil {
		return err
	}
	return printTable(p.stdout, "STREAM\tPOSITION\tLAST\tBEHIND\t", func(row func(string, ...any)) {
		for _, l := range lags {
			note := ""
			if l.Again > 0 {
				note = fmt.Sprintf("being read again up to %d", l.Again)
			}
			if l.Elsewhere {
				row("%s\t%d\t\t\t%s", l.Source, l.Position, "in another NATS, written at "+l.WrittenAt.Format(time.RFC3339))
				continue
			}
			row("%s\t%d\t%d\t%d\t%s", l.Source, l.Position, l.Last, max(l.Last, l.Position)-l.Position, note)
		}
	})
}

func printPlaces(ctx context.Context, out io.Writer, store *database.Store) error {
	places, err := store.Places(ctx)
	if err != nil {
		return err
	}
	return printTable(out, "STREAM\tPOSITION\tWRITTEN AT", func(row func(string, ...any)) {
		for _, place := range places {
			row("%s\t%d\t%s", place.Source, place.Position, place.UpdatedAt.Format(time.RFC3339))
		}
	})
}

func printTable(out io.Writer, head string, rows func(row func(string, ...any))) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	rows(func(format string, args ...any) { fmt.Fprintf(table, format+"\n", args...) })
	return table.Flush()
}

func (p process) historyRebuild(ctx context.Context, cmd *cli.Command) (err error) {
	opts, err := p.historyOptions(cmd)
	if err != nil {
		return err
	}
	h, openErr := openHistory(ctx, opts, quietLog(p.stderr))
	if h != nil {
		defer func() { err = errors.Join(err, h.close()) }()
	}
	if openErr != nil {
		return openErr
	}
	release, err := h.store.Seize(ctx)
	if err != nil {
		return err
	}
	defer release()
	plan, err := projector.PlanRebuild(ctx, h.bus, h.store, cmd.Bool("drop-ended"))
	if err != nil {
		return err
	}
	explain(p.stdout, plan)
	if !cmd.Bool("yes") {
		fmt.Fprintln(p.stdout, "Nothing was changed. --yes does it.")
		return nil
	}
	if err := plan.Do(ctx); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "Done. The next server writes what the logs hold.")
	return nil
}

// explain says what a rebuild does.
func explain(out io.Writer, plan *projector.Rebuild) {
	fmt.Fprintf(out, "The history has %d runs. The logs hold %d runs from their beginning.\n", plan.Stored, len(plan.Whole))
	if len(plan.Others) > 0 {
		fmt.Fprintf(out, "Others have written to it from %d other NATS, whose streams are not looked at.\n", len(plan.Others))
	}
	if plan.Drops() {
		fmt.Fprintln(out, "All runs and events are deleted from it; what the logs, EVENTS and TOLD still hold is written again, of each NATS by its own servers.")
		return
	}
	fmt.Fprintln(out, "Those are deleted from it and written again; what is missing of others and of events is added. All else is kept.")
}

// quietLog shows what is worth a person's attention.
func quietLog(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
