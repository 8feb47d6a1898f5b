package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"jetstep/compat/migrate"
)

// migrateVerify compares what is in Redis with what is in NATS, or in another Redis.
func (p process) migrateVerify(ctx context.Context, cmd *cli.Command) (err error) {
	other := inNATS
	if cmd.String("to-redis-uri") != "" {
		other = inOtherRedis
	}
	a, b, closeBoth, err := p.openPair(ctx, cmd, inRedis, other)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	for _, side := range []*openSide{a, b} {
		if err := p.awaitIdle(ctx, side, cmd.Bool("force")); err != nil {
			return err
		}
	}
	show, err := p.newProgress(ctx, a)
	if err != nil {
		return err
	}
	more, err := b.Estimate(ctx)
	if err != nil {
		return err
	}
	show.total += more
	limit, shown := cmd.Int("limit"), 0
	compared, err := migrate.Verify(ctx, migrate.Verifying{
		A: a, B: b,
		Differ: func(id migrate.ID, missing string, differences []migrate.Difference) error {
			if shown++; shown <= limit {
				show.line(differenceText(id, missing, differences))
			}
			return nil
		},
		Progress: func(c migrate.Compared) { show.at(c.Read, c.Items) },
	})
	show.end()
	if err != nil {
		return err
	}
	if shown > limit {
		fmt.Fprintf(p.stdout, "… and %d more\n", shown-limit)
	}
	fmt.Fprintf(p.stdout, "%s and %s: %d items compared in both directions, %d differ\n", a.Name(), b.Name(), compared.Items, compared.Differ)
	if compared.Differ > 0 {
		return errReported
	}
	return nil
}

// differenceText tells in what an item differs, each field in a line.
func differenceText(id migrate.ID, missing string, differences []migrate.Difference) string {
	if missing != "" {
		return fmt.Sprintf("%s %s: missing in %s", id.Kind, id.Key, missing)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", id.Kind, id.Key)
	for _, d := range differences {
		fmt.Fprintf(&b, "\n  %s: %s ≠ %s", d.Field, shortened(d.Here), shortened(d.There))
	}
	return b.String()
}

// shortened is a value as it is shown.
func shortened(value string) string {
	const most = 200
	if value == "" {
		return "nothing"
	}
	if len(value) > most {
		return value[:most] + "…"
	}
	return value
}
