package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/history"
	"jetstep/history/trace"
)

// runPageView is what the page of a run shows.
type runPageView struct {
	runView
	Cron, Original, Output string
	Ended                  bool
	Events                 []triggerView
	Steps                  []stepView
}

type triggerView struct{ ID, Name, Data string }

// stepView is a span; Left and Width say in percent when it was in the run.
type stepView struct {
	Name, Op, Status, Took, StartedAt, Output string
	Attempts, Indent, Left, Width             int
}

// maxTriggers is how many of a batch's events the page shows.
const maxTriggers = 20

// runPage is GET /runs/{run}: what became of a run, for people.
func (s *Server) runPage(c echo.Context) error {
	id, err := runID(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	run, err := s.cfg.History.Run(ctx, id)
	if errors.Is(err, history.ErrRunNotFound) {
		return noSuchRun(id)
	}
	if err != nil {
		return err
	}
	rows, err := s.cfg.Spans.Spans(ctx, id)
	if err != nil {
		return err
	}
	shown := s.showRunPage(ctx, &run)
	if shown.Events, err = s.triggers(ctx, run.EventIDs); err != nil {
		return err
	}
	shown.Steps = showSteps(rows, s.cfg.Now())
	return sendPage(c, "run.html", shown)
}

// sendPage answers with a page that may not run scripts.
func sendPage(c echo.Context, name string, shown any) error {
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, name, shown); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set(echo.HeaderCacheControl, "no-store")
	return c.HTMLBlob(http.StatusOK, text.Bytes())
}

func (s *Server) showRunPage(ctx context.Context, run *history.Run) runPageView {
	shown := runPageView{
		runView: s.showRecentRun(ctx, run, s.cfg.Catalog.Catalog()),
		Cron:    run.Cron, Output: indented(run.Output), Ended: run.Status.Ended(),
	}
	if run.OriginalRunID != nil {
		shown.Original = run.OriginalRunID.String()
	}
	return shown
}

// triggers are the events of a run, as far as they are still kept.
func (s *Server) triggers(ctx context.Context, ids []ulid.ULID) ([]triggerView, error) {
	var shown []triggerView
	for _, id := range ids[:min(len(ids), maxTriggers)] {
		event, err := s.cfg.History.Event(ctx, id)
		if errors.Is(err, history.ErrEventNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		shown = append(shown, triggerView{ID: id.String(), Name: event.Name, Data: indented(event.Data)})
	}
	return shown, nil
}

// showSteps is a trace as rows of a table, without the run itself.
func showSteps(rows []trace.Row, now time.Time) []stepView {
	run, err := trace.Assemble(rows)
	if err != nil {
		return nil // there is nothing of it yet
	}
	root := run.Preview()
	t := timeline{from: root.QueuedAt, until: root.EndedAt, rows: rows}
	if t.until.IsZero() {
		t.until = now
	}
	for _, child := range root.Children {
		t.add(child, 0)
	}
	return t.shown
}

// timeline places spans in the time of their run.
type timeline struct {
	from, until time.Time
	rows        []trace.Row
	shown       []stepView
}

// add shows a span and those below it. Spans of user code may be nested deeply.
func (t *timeline) add(n *trace.Node, depth int) {
	const maxIndent = 10
	row := stepView{
		Name: spanName(n.Name), Op: string(n.StepOp), Status: string(n.Status), Attempts: n.Attempts, Indent: min(depth, maxIndent),
		Output: indented(t.output(n.OutputID)),
	}
	if started := n.StartedAt; !started.IsZero() {
		ended := n.EndedAt
		if ended.IsZero() {
			ended = t.until
		} else {
			row.Took = ended.Sub(started).Round(time.Millisecond).String()
		}
		row.StartedAt = started.UTC().Format(time.DateTime)
		row.Left = t.percent(started)
		row.Width = t.percent(ended) - row.Left
	}
	t.shown = append(t.shown, row)
	for _, child := range n.Children {
		t.add(child, depth+1)
	}
}

// spanName is a name for people: that of a step, or what the call did besides.
func spanName(name string) string {
	if name == "executor.nonstep" {
		return "function"
	}
	return name
}

func (t *timeline) percent(at time.Time) int {
	total := t.until.Sub(t.from)
	if total <= 0 {
		return 0
	}
	return int(min(max(100*at.Sub(t.from)/total, 0), 100))
}

// output is what a span gave back, its error if it failed.
func (t *timeline) output(id string) json.RawMessage {
	if id == "" {
		return nil
	}
	ref, err := trace.ParseOutputID(id)
	if err != nil {
		return nil
	}
	found := trace.FindOutput(t.rows, ref)
	if found.Error == nil {
		return found.Data
	}
	text, _ := json.Marshal(found.Error) // of strings and JSON
	return text
}

// maxShown is how much of an output or an event the page shows, in bytes.
const maxShown = 64 << 10

// indented is JSON for people, cut off where it is long.
func indented(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var text bytes.Buffer
	if len(raw) > maxShown || json.Indent(&text, raw, "", "  ") != nil {
		return string(bytes.ToValidUTF8(raw[:min(len(raw), maxShown)], nil))
	}
	return text.String()
}
