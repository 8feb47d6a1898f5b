package main

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// version and commit are set by the linker (see Makefile).
var (
	version = "dev"
	commit  = ""
)

// versionString is "<version>-<short commit>" (cli-config §7). Without a
// commit from the linker it is the one that the Go tool recorded, if any.
func versionString() string {
	hash := commit
	if info, ok := debug.ReadBuildInfo(); ok && hash == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				hash = s.Value[:min(7, len(s.Value))]
			}
		}
	}
	return version + "-" + hash
}

func versionCommand(p process) *cli.Command {
	return &cli.Command{
		Name:            "version",
		Usage:           "print the version",
		HideHelpCommand: true,
		Action: func(context.Context, *cli.Command) error {
			_, err := fmt.Fprintln(p.stdout, versionString())
			return err
		},
	}
}
