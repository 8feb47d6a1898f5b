package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

// migrateCommand moves what lives in one path's storage to the other's.
func migrateCommand(p process) *cli.Command {
	return &cli.Command{
		Name:  "migrate",
		Usage: "move runs, and all that belongs to them, between Redis and NATS; adopt a database",
		Description: "NATS and the database are found by the same options as for start. " +
			"No server may work on what is read. The source is only read: end its servers for good before the target's are started, or runs are executed twice.",
		Commands: []*cli.Command{
			p.copyCommand(redisToNATS), p.copyCommand(natsToRedis), p.copyCommand(redisToRedis),
			p.verifyCommand(), p.postgresCommand(),
		},
	}
}

// direction is from where to where things are copied.
type direction struct {
	name, usage string
	from, to    storage
}

// storage is a kind of place.
type storage int

const (
	inRedis storage = iota
	inOtherRedis
	inNATS
)

var (
	redisToNATS  = direction{"redis-to-nats", "copy from the Redis of a server of the original, or of one with --engine redis, to NATS", inRedis, inNATS}
	natsToRedis  = direction{"nats-to-redis", "copy from NATS to a Redis", inNATS, inRedis}
	redisToRedis = direction{"redis-to-redis", "copy from one Redis to another", inRedis, inOtherRedis}
)

func (p process) copyCommand(d direction) *cli.Command {
	return &cli.Command{
		Name:  d.name,
		Usage: d.usage,
		Description: "What was copied is not copied again: an interrupted copy goes on where it was, and to repeat one is harmless. " +
			"What cannot be read, or has no place in the target, is listed in a file, and the exit code is 1 then.",
		HideHelpCommand: true,
		Flags: append(sideFlags(d.from, d.to),
			&cli.BoolFlag{Name: "dry-run", HideDefault: true, Usage: "only count, and tell what would be written"},
			&cli.BoolFlag{Name: "force", HideDefault: true, Usage: "copy although a server seems to work on the source"},
			&cli.StringFlag{Name: "progress", Value: "jetstep-" + d.name + ".progress.json", TakesFile: true, Usage: "file that says how far the copy is"},
			&cli.StringFlag{Name: "report", Value: "jetstep-" + d.name + ".report.jsonl", TakesFile: true, Usage: "file for what could not be copied"},
		),
		Action: func(ctx context.Context, cmd *cli.Command) error { return p.migrateCopy(ctx, cmd, d) },
	}
}

func (p process) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:            "verify",
		Usage:           "compare what is in Redis with what is in NATS, or in another Redis, record by record in both directions",
		Description:     "Neither may be changing. Differences are printed, and the exit code is 1 if there are any.",
		HideHelpCommand: true,
		Flags: append(sideFlags(inRedis, inNATS, inOtherRedis),
			&cli.BoolFlag{Name: "force", HideDefault: true, Usage: "compare although servers seem to work on them"},
			&cli.IntFlag{Name: "limit", Value: 100, Usage: "how many differences to print"},
		),
		Action: func(ctx context.Context, cmd *cli.Command) error { return p.migrateVerify(ctx, cmd) },
	}
}

func (p process) postgresCommand() *cli.Command {
	return &cli.Command{
		Name:  "postgres",
		Usage: "adopt the apps, functions and history of a server of the original",
		Description: "It brings the schema of the database of --postgres-uri (or --sqlite-dir) up to date, and takes its apps and functions over. " +
			"A server that is started on it does the same. The original still accepts the database.",
		HideHelpCommand: true,
		Flags: append(historyFlags(),
			&cli.BoolFlag{Name: "dry-run", HideDefault: true, Usage: "only tell what is there, and what would be done"}),
		Action: func(ctx context.Context, cmd *cli.Command) error { return p.migratePostgres(ctx, cmd) },
	}
}

// sideFlags are the options that say where storages are.
func sideFlags(storages ...storage) []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{
		Name: "redis-uri", Sources: cli.EnvVars("JETSTEP_REDIS_URI", "INNGEST_REDIS_URI"),
		Usage: "redis://user:password@host:port/database, rediss:// with TLS, a cluster or sentinels as servers accept them",
	}}
	for _, s := range storages {
		switch s {
		case inNATS:
			for _, f := range historyFlags() {
				if f.Names()[0] != "redis-uri" {
					flags = append(flags, f)
				}
			}
		case inOtherRedis:
			flags = append(flags, &cli.StringFlag{Name: "to-redis-uri", Usage: "the other Redis, as --redis-uri"})
		}
	}
	return flags
}
