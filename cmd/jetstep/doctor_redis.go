package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/compat/redis/dial"
	"jetstep/compat/redis/inspect"
)

// doctorCommand looks after what a server keeps.
func doctorCommand(p process) *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "find what is wrong with what servers keep, and repair it",
		Commands: []*cli.Command{{
			Name:  "redis",
			Usage: "look at runs and jobs in Redis; exit code 1 if something is wrong and was not repaired",
			Description: "Without --repair nothing is changed. Servers may go on meanwhile. --json prints one JSON object for " +
				"each finding, and one with the summary at last.",
			HideHelpCommand: true,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "redis-uri", Local: true, Usage: "URL of the Redis; else JETSTEP_REDIS_URI or INNGEST_REDIS_URI"},
				&cli.BoolFlag{Name: "repair", Local: true, HideDefault: true, Usage: "repair what can be repaired without guessing"},
				&cli.BoolFlag{Name: "discard", Local: true, HideDefault: true,
					Usage: "with --repair: delete what was set aside and cannot be executed still"},
				&cli.DurationFlag{Name: "timeout", Local: true, Value: 10 * time.Second, Usage: "how long to wait for the Redis"},
			},
			Action: func(ctx context.Context, cmd *cli.Command) error { return p.doctorRedis(ctx, cmd) },
		}},
	}
}

// doctorRedis reports to standard output.
func (p process) doctorRedis(ctx context.Context, cmd *cli.Command) (err error) {
	discard := cmd.Bool("discard")
	if discard && !cmd.Bool("repair") {
		return errors.New("--discard needs --repair")
	}
	uri := cmp.Or(cmd.String("redis-uri"), p.env("JETSTEP_REDIS_URI"), p.env("INNGEST_REDIS_URI"))
	if uri == "" {
		return errors.New("--redis-uri is missing: it says where the Redis is")
	}
	within, cancel := context.WithTimeout(ctx, cmd.Duration("timeout"))
	defer cancel()
	client, err := dial.Await(within, uri, p.logger(cmd))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	show := findingsAsText(p.stdout)
	if cmd.Bool("json") {
		show = findingsAsJSON(p.stdout)
	}
	summary, err := inspect.Run(ctx, inspect.Config{
		Redis: client, Repair: cmd.Bool("repair"), Discard: discard, Report: show.finding,
	})
	if err != nil {
		return fmt.Errorf("the inspection broke off: %w", err)
	}
	if err := show.summary(summary); err != nil {
		return err
	}
	if summary.Left() > 0 {
		return errReported
	}
	return nil
}

// findings is how an inspection is shown.
type findings struct {
	finding func(inspect.Finding) error
	summary func(*inspect.Summary) error
}

func findingsAsJSON(out io.Writer) findings {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return findings{
		finding: func(f inspect.Finding) error { return enc.Encode(f) },
		summary: func(s *inspect.Summary) error { return enc.Encode(map[string]any{"summary": s, "left": s.Left()}) },
	}
}

func findingsAsText(out io.Writer) findings {
	return findings{
		finding: func(f inspect.Finding) error {
			what := "found"
			switch {
			case f.Discarded && f.Repaired:
				what = "discarded"
			case f.Repaired:
				what = "repaired"
			}
			place := f.Key
			if f.Member != "" {
				place += " [" + f.Member + "]"
			}
			_, err := fmt.Fprintf(out, "%-9s %s: %s: %.300s\n", what, f.Kind, place, f.Reason)
			return err
		},
		summary: func(s *inspect.Summary) error { return writeSummary(out, s) },
	}
}

// writeSummary is a line for each kind, and one about what was looked at.
func writeSummary(out io.Writer, s *inspect.Summary) error {
	for _, kind := range slices.Sorted(maps.Keys(s.Found)) {
		if _, err := fmt.Fprintf(out, "%s: %d found, %d repaired\n", kind, s.Found[kind], s.Repaired[kind]); err != nil {
			return err
		}
	}
	verdict := "nothing is wrong"
	if left := s.Left(); left > 0 {
		verdict = fmt.Sprintf("%d left", left)
	} else if len(s.Found) > 0 {
		verdict = "all repaired"
	}
	_, err := fmt.Fprintf(out, "looked at %d keys, %d runs, %d items, %d pauses: %s\n", s.Keys, s.Runs, s.Items, s.Pauses, verdict)
	return err
}
