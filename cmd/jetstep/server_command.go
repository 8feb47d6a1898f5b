package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/cmd/jetstep/internal/config"
	"jetstep/cmd/jetstep/internal/logging"
)

// serverCommand is dev or start: the two differ in their options only.
func serverCommand(p process, mode config.Mode) *cli.Command {
	usage := "run the development server: no keys, finds apps, keeps nothing"
	if mode == config.Start {
		usage = "run the server: keys are required, everything is kept"
	}
	return &cli.Command{
		Name:            mode.String(),
		Usage:           usage,
		Description:     "Each option can also be set as JETSTEP_<NAME> or INNGEST_<NAME> in the environment, or as a key in a config file.",
		Flags:           serverFlags(mode),
		HideHelpCommand: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return p.runServer(ctx, cmd, mode)
		},
	}
}

// runServer turns every way in which a server can fail into one line.
func (p process) runServer(ctx context.Context, cmd *cli.Command, mode config.Mode) error {
	opts, err := p.load(mode, givenFlags(cmd, mode))
	if err != nil {
		return err
	}
	log := p.logger(cmd)
	slog.SetDefault(log) // for libraries that know no other
	reportOptions(log, opts, cmd.Args().Slice())

	out := io.Discard
	if p.terminal {
		out = p.stdout
	}
	if err := serve(ctx, opts, log, out); err != nil {
		log.Error(err.Error())
		return errReported
	}
	return nil
}

// load reads the options of a server, and tells when they are not accepted.
func (p process) load(mode config.Mode, given config.Given) (config.Options, error) {
	opts, err := config.Load(mode, given, config.Surroundings{Environ: p.environ, Dir: p.dir, Home: p.home})
	if err != nil {
		fmt.Fprintln(p.stdout, refusal(err))
		return opts, errReported
	}
	return opts, nil
}

// refusal is the original's text for options that are not accepted.
func refusal(err error) string {
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		return "Error: " + invalid.Error()
	}
	return err.Error()
}

// reportOptions says what the configuration contains beyond its values.
func reportOptions(log *slog.Logger, opts config.Options, extra []string) {
	for _, err := range opts.SkippedFiles {
		log.Warn("skipping a config file that cannot be read", "error", err)
	}
	if opts.ConfigFile != "" {
		log.Info("using config", "file", opts.ConfigFile)
	}
	if len(opts.UnknownKeys) > 0 {
		log.Warn("the config file has unknown keys", "keys", opts.UnknownKeys)
	}
	if len(opts.Ineffective) > 0 {
		log.Warn("options are accepted but have no effect yet", "options", opts.Ineffective)
	}
	if len(extra) > 0 {
		log.Warn("ignoring arguments that are no option", "arguments", extra)
	}
}

// logger makes the log that the global flags and the environment ask for.
func (p process) logger(cmd *cli.Command) *slog.Logger {
	settings := logging.Settings{
		JSON:     cmd.Bool("json"),
		Verbose:  cmd.Bool("verbose"),
		EnvLevel: p.env("LOG_LEVEL"),
		Handler:  p.env("LOG_HANDLER"),
		Terminal: p.terminal,
		Color:    p.colorLog,
	}
	if cmd.IsSet("log-level") {
		settings.Level = cmd.String("log-level")
	}
	return logging.New(p.stderr, settings)
}

// serverFlags are the options of a command as flags. They have no source but
// the command line: config merges the others.
func serverFlags(mode config.Mode) []cli.Flag {
	var flags []cli.Flag
	for _, o := range config.OptionsOf(mode) {
		flags = append(flags, flagOf(o, o.HiddenIn&mode != 0))
	}
	return flags
}

func flagOf(o config.Option, hidden bool) cli.Flag {
	switch o.Kind {
	case config.List:
		return &cli.StringSliceFlag{Name: o.Name, Aliases: o.Aliases, Usage: o.Usage, Category: o.Category, Hidden: hidden}
	case config.Int:
		n, _ := strconv.Atoi(o.Default) // no default is 0
		return &cli.IntFlag{Name: o.Name, Aliases: o.Aliases, Usage: o.Usage, Category: o.Category, Hidden: hidden,
			Value: n, Config: cli.IntegerConfig{Base: 10}}
	case config.Bool:
		return &cli.BoolFlag{Name: o.Name, Aliases: o.Aliases, Usage: o.Usage, Category: o.Category, Hidden: hidden, HideDefault: true}
	case config.Duration:
		d, _ := time.ParseDuration(o.Default) // no default is 0
		return &cli.DurationFlag{Name: o.Name, Aliases: o.Aliases, Usage: o.Usage, Category: o.Category, Hidden: hidden, Value: d}
	}
	return &cli.StringFlag{Name: o.Name, Aliases: o.Aliases, Usage: o.Usage, Category: o.Category, Hidden: hidden, Value: o.Default}
}

// givenFlags are the options that the command line itself contains.
func givenFlags(cmd *cli.Command, mode config.Mode) config.Given {
	given := config.Given{}
	for _, o := range config.OptionsOf(mode) {
		if cmd.IsSet(o.Name) {
			given[o.Name] = cmd.Value(o.Name)
		}
	}
	return given
}
