package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"jetstep/compat/migrate"
)

// progress shows how far a copy is: a bar on a terminal, a line now and then
// elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	total    int64
	begun    time.Time
	first    int64 // what had been read when it began; -1 is not known yet
	shown    time.Time
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

func (p process) newProgress(ctx context.Context, from migrate.Source) (*progress, error) {
	total, err := from.Estimate(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &progress{out: p.stdout, terminal: p.terminal, total: total, begun: now, shown: now, first: -1}, nil
}

// at tells how much was read of what there was at the beginning, and how many
// items that were.
func (p *progress) at(read int64, items int) {
	if p.first < 0 {
		p.first = read
	}
	every := lineEvery
	if p.terminal {
		every = barEvery
	}
	now := time.Now()
	if now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	text := progressText(read, p.first, p.total, items, now.Sub(p.begun))
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s %s\x1b[K", bar(read, p.total), text)
		return
	}
	fmt.Fprintln(p.out, text)
}

// line prints a line of its own.
func (p *progress) line(text string) {
	p.end()
	fmt.Fprintln(p.out, text)
}

// end takes the bar away.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func bar(read, total int64) string {
	full := int(barWidth * share(read, total))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "]"
}

// share is how much of a total was read, from 0 to 1.
func share(read, total int64) float64 {
	if total <= 0 {
		return 0
	}
	return min(float64(read)/float64(total), 1)
}

// progressText says how far, how fast, and how long it will take; first is what had
// been read when the time began.
func progressText(read, first, total int64, items int, took time.Duration) string {
	rate := float64(read-first) / max(took.Seconds(), 0.001)
	text := fmt.Sprintf("%3.0f %%, %d items, %.0f keys/s", 100*share(read, total), items, rate)
	if rate > 0 && total > read {
		left := time.Duration(float64(total-read) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}
