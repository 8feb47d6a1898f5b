package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"jetstep/bench"
)

// benchCommand measures a server. It has flags of its own; what follows "--"
// is passed to the server that it starts.
func benchCommand(out io.Writer) *cli.Command {
	return &cli.Command{
		Name:            "bench",
		Usage:           "measure throughput, latency, memory and recovery",
		SkipFlagParsing: true,
		HideHelpCommand: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			opts, err := benchOptions(cmd.Args().Slice(), out)
			if errors.Is(err, flag.ErrHelp) {
				return nil
			}
			if err != nil {
				return err
			}
			_, err = bench.Run(ctx, opts, out)
			return err
		},
	}
}

// benchOptions reads the arguments: this binary is measured, started anew for
// each scenario, or a server at a URL.
func benchOptions(args []string, out io.Writer) (bench.Options, error) {
	var opts bench.Options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opts.URL, "url", "", "measure the server at this `URL` instead of starting one")
	flags.StringVar(&opts.EventKey, "event-key", "bench", "event `key` for --url")
	flags.StringVar(&opts.Bearer, "signing-key", "", "signing `key` for --url")
	flags.Float64Var(&opts.Scale, "scale", 1, "`factor` on the amounts")
	flags.IntVar(&opts.Rate, "rate", 0, "`runs` a second that the scenarios noop and three offer for 30 s, instead of as many as the server takes")
	flags.Func("scenario", "measure only this `name` (repeatable):\n"+strings.Join(bench.Scenarios(), "\n"), func(names string) error {
		opts.Scenarios = append(opts.Scenarios, strings.Split(names, ",")...)
		return nil
	})
	flags.Func("engine", "measure the server with this `engine`, nats or redis (repeatable)", func(names string) error {
		opts.Engines = append(opts.Engines, strings.Split(names, ",")...)
		return nil
	})
	flags.StringVar(&opts.RedisURI, "redis-uri", "", "`URI` of an empty Redis for the engine redis instead of starting one")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	opts.Args = flags.Args()
	binary, err := os.Executable()
	if err != nil {
		return opts, fmt.Errorf("bench: own binary: %w", err)
	}
	opts.Binary = binary
	return opts, nil
}
