package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"jetstep/bench"
)

func init() { benchRun = runBench }

// runBench measures a server: its own binary, started for each scenario, or
// one at a URL. What follows "--" is passed to the started server.
func runBench(ctx context.Context, args []string, out io.Writer) error {
	var opts bench.Options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opts.URL, "url", "", "measure the server at this `URL` instead of starting one")
	flags.StringVar(&opts.EventKey, "event-key", "bench", "event `key` for --url")
	flags.StringVar(&opts.Bearer, "signing-key", "", "signing `key` for --url")
	flags.Float64Var(&opts.Scale, "scale", 1, "`factor` on the amounts")
	flags.Func("scenario", "measure only this `name` (repeatable):\n"+strings.Join(bench.Scenarios(), "\n"), func(name string) error {
		opts.Scenarios = append(opts.Scenarios, strings.Split(name, ",")...)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	opts.Args = flags.Args()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: own binary: %w", err)
	}
	opts.Binary = binary
	_, err = bench.Run(ctx, opts, out)
	return err
}
