package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v3"
)

// benchRun is the load generator; nil leaves the command out.
var benchRun func(ctx context.Context, args []string, out io.Writer) error

// benchCommand passes all its arguments on: the load generator has flags of
// its own.
func benchCommand(out io.Writer, bench func(ctx context.Context, args []string, out io.Writer) error) *cli.Command {
	return &cli.Command{
		Name:            "bench",
		Usage:           "measure throughput and latency",
		SkipFlagParsing: true,
		HideHelpCommand: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return bench(ctx, cmd.Args().Slice(), out)
		},
	}
}
