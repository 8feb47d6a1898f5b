package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/compat/migrate"
)

// saveEvery is how often the progress is saved: what was copied since is looked at
// again after an interruption.
const saveEvery = time.Second

// migrateCopy copies from one storage to another.
func (p process) migrateCopy(ctx context.Context, cmd *cli.Command, d direction) (err error) {
	from, to, closeBoth, err := p.openPair(ctx, cmd, d.from, d.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBoth()) }()
	if err := p.awaitIdle(ctx, from, cmd.Bool("force")); err != nil {
		return err
	}
	if cmd.Bool("dry-run") {
		return p.dryRun(ctx, from, to)
	}
	journal, err := migrate.OpenJournal(cmd.String("progress"), from.Name(), to.Name())
	if err != nil {
		return err
	}
	reports, err := openReports(cmd.String("report"), journal.Resumes())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reports.close()) }()
	if journal.Resumes() {
		fmt.Fprintf(p.stdout, "Going on where an earlier copy was interrupted, after %d items.\n", journal.Summary.Items())
	}
	show, err := p.newProgress(ctx, from)
	if err != nil {
		return err
	}
	saved := time.Now()
	after := journal.After
	summary, err := migrate.Copy(ctx, migrate.Copying{
		From: from, To: to, After: after, Counted: journal.Summary, Report: reports.add,
		Done: func(position migrate.Position, s *migrate.Summary) error {
			after = position
			show.at(s.Read, s.Items())
			if time.Since(saved) < saveEvery {
				return nil
			}
			saved = time.Now()
			return journal.Save(after, s, false)
		},
	})
	show.end()
	saveErr := journal.Save(after, summary, err == nil)
	if err = errors.Join(err, saveErr); err != nil {
		return fmt.Errorf("%w\nWhat was copied stays; the same command goes on", err)
	}
	return p.conclude(summary, from.Name(), to.Name(), cmd.String("report"))
}

// dryRun tells what a copy would do.
func (p process) dryRun(ctx context.Context, from, to *openSide) error {
	show, err := p.newProgress(ctx, from)
	if err != nil {
		return err
	}
	shown := 0
	summary, err := migrate.Copy(ctx, migrate.Copying{
		From: from, To: to, DryRun: true,
		Report: func(r migrate.Report) error {
			const most = 20
			if shown++; shown <= most {
				show.line(fmt.Sprintf("%s %s: %s: %s", r.Kind, r.Key, r.Result, r.Reason))
			}
			return nil
		},
		Done: func(_ migrate.Position, s *migrate.Summary) error {
			show.at(s.Read, s.Items())
			return nil
		},
	})
	show.end()
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "Nothing was written. A copy would do this:")
	return p.conclude(summary, from.Name(), to.Name(), "")
}

// conclude prints what was counted, and fails if something was lost.
func (p process) conclude(s *migrate.Summary, from, to, reports string) error {
	fmt.Fprintf(p.stdout, "From %s to %s:\n", from, to)
	if err := printSummary(p.stdout, s); err != nil {
		return err
	}
	lost := s.Lost()
	switch {
	case lost == 0:
		return nil
	case reports == "":
		fmt.Fprintf(p.stdout, "%d things could not be copied.\n", lost)
	default:
		fmt.Fprintf(p.stdout, "%d things were not copied: %s says which and why. They stay where they are.\n", lost, reports)
	}
	return errReported
}

// printSummary prints what became of each kind.
func printSummary(out io.Writer, s *migrate.Summary) error {
	err := printTable(out, "KIND\tFOUND\tWRITTEN\tTHERE\tWENT ON\tCONFLICTS\tREFUSED\tFOLLOWS\t", func(row func(string, ...any)) {
		for _, kind := range migrate.Kinds {
			t := s.Kinds[kind]
			if t == nil || t.Found == 0 {
				continue
			}
			if !kind.Moves() {
				row("%s\t%d\t\t\t\t\t\t\t", kind, t.Found)
				continue
			}
			row("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t", kind, t.Found, t.Written, t.There, t.WentOn, t.Conflicts, t.Refused, t.NotKept)
		}
	})
	var parts []string
	for _, part := range migrate.Parts {
		if n := s.Parts[part]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(out, "The runs have %s.\n", strings.Join(parts, ", "))
	}
	return err
}

// reportFile lists what could not be copied, one JSON object in a line.
type reportFile struct{ file *os.File }

// openReports begins the file, or goes on with that of an interrupted copy.
func openReports(path string, goOn bool) (*reportFile, error) {
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if goOn {
		mode = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(path, mode, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the report: %w", err)
	}
	return &reportFile{f}, nil
}

func (r *reportFile) add(report migrate.Report) error {
	text, err := json.Marshal(struct {
		Kind   migrate.Kind `json:"kind"`
		Key    string       `json:"key"`
		Result string       `json:"result"`
		Reason string       `json:"reason"`
		Value  string       `json:"value,omitempty"`
	}{report.Kind, report.Key, report.Result.String(), report.Reason, report.Value})
	if err == nil {
		_, err = r.file.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// close keeps the file if it says something.
func (r *reportFile) close() error {
	info, err := r.file.Stat()
	err = errors.Join(err, r.file.Close())
	if err == nil && info.Size() == 0 {
		err = os.Remove(r.file.Name())
	}
	return err
}
