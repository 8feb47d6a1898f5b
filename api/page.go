package api

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history"
	"jetstep/state"
)

//go:embed *.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "*.html"))

// How much of what happened lately the page shows.
const (
	pageRuns   = 50
	pageEvents = 15
)

// pageView is what the page shows.
type pageView struct {
	Version  string
	NotReady []string
	Apps     []appView
	Runs     []runView
	Events   []eventView
	// HistoryDown says that runs and events are missing for a reason, Behind, if
	// not empty, how far the others are behind.
	HistoryDown bool
	Behind      string
}

type appView struct {
	*function.App
	Functions []functionView
}

type functionView struct {
	Slug, Name, Triggers string
	Paused               bool
}

type runView struct {
	ID, Function, Status, Reason string
	QueuedAt                     string
	Took                         string // "" until it has ended
}

type eventView struct {
	ID, Name, ReceivedAt string
	Unheard              bool // it matched nothing
}

// page is GET /: what is registered and what happened lately, for people.
func (s *Server) page(c echo.Context) (err error) {
	ctx, catalog := c.Request().Context(), s.cfg.Catalog.Catalog()
	view := pageView{Version: s.cfg.Version, NotReady: s.cfg.NotReady(), Apps: showApps(catalog)}
	if view.Runs, err = s.recentRuns(ctx, catalog); err == nil {
		view.Events, err = s.recentEvents(ctx)
	}
	if errors.Is(err, history.ErrUnavailable) {
		view.HistoryDown = true
	} else if err != nil {
		return err
	}
	if state := s.historyState(); state != nil && state.State == "lagging" {
		view.Behind = time.Duration(state.AgeSeconds * float64(time.Second)).Round(time.Second).String()
	}
	return sendPage(c, "page.html", view)
}

func showApps(catalog *bus.Catalog) []appView {
	shown := make([]appView, len(catalog.Apps))
	for i, app := range catalog.Apps {
		shown[i].App = app
		for j := range app.Functions {
			fn := &app.Functions[j]
			shown[i].Functions = append(shown[i].Functions, functionView{
				Slug: fn.Slug, Name: fn.Name, Triggers: showTriggers(fn.Triggers), Paused: catalog.Paused(fn.ID),
			})
		}
	}
	return shown
}

// pagePatience is how long a list of runs waits in all for other processes, which
// know what their runs wait for.
const pagePatience = time.Second

func (s *Server) recentRuns(ctx context.Context, catalog *bus.Catalog) ([]runView, error) {
	runs, err := s.cfg.History.RecentRuns(ctx, pageRuns)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pagePatience)
	defer cancel()
	shown := make([]runView, len(runs))
	for i := range runs {
		shown[i] = s.showRecentRun(ctx, &runs[i], catalog)
	}
	return shown, nil
}

func (s *Server) recentEvents(ctx context.Context) ([]eventView, error) {
	events, err := s.cfg.History.Events(ctx, history.EventFilter{ReceivedAfter: s.cfg.Now().Add(-eventWindow), Limit: pageEvents})
	if err != nil {
		return nil, err
	}
	shown := make([]eventView, len(events))
	for i, e := range events {
		shown[i] = eventView{ID: e.InternalID.String(), Name: e.Name, ReceivedAt: e.ReceivedAt.UTC().Format(time.DateTime), Unheard: e.Matched == 0}
	}
	return shown, nil
}

func showTriggers(triggers []function.Trigger) string {
	texts := make([]string, len(triggers))
	for i, t := range triggers {
		switch {
		case t.IsCron():
			texts[i] = "cron " + t.Cron
		case t.Expression != "":
			texts[i] = t.Event + " if " + t.Expression
		default:
			texts[i] = t.Event
		}
	}
	return strings.Join(texts, ", ")
}

func (s *Server) showRecentRun(ctx context.Context, r *history.Run, catalog *bus.Catalog) runView {
	shown := runView{ID: r.ID.String(), Function: r.FunctionID.String(), Status: r.Status.String(), Reason: r.Reason,
		QueuedAt: r.QueuedAt.UTC().Format(time.DateTime)}
	if fn, _, ok := catalog.Executable(r.FunctionID); ok {
		shown.Function = fn.Slug
	}
	if !r.EndedAt.IsZero() {
		shown.Took = r.EndedAt.Sub(r.QueuedAt).Round(time.Millisecond).String()
	}
	if r.Status == state.Failed {
		shown.Reason = errorText(r.Output)
	}
	if r.Status.Ended() || shown.Reason != "" {
		return shown
	}
	if limit, ok := s.cfg.Runs.WaitingFor(ctx, r.ID); ok {
		shown.Reason = "waits for its limit of " + limit
	}
	return shown
}

// maxErrorText is how much of a run's error the page shows, in bytes.
const maxErrorText = 300

// errorText is the message in the output of a failed run (sdk-protocol §15.5).
func errorText(output json.RawMessage) string {
	var failure struct {
		Message string
		Error   json.RawMessage
	}
	if json.Unmarshal(output, &failure) != nil {
		return ""
	}
	if failure.Message == "" && len(failure.Error) > 0 && failure.Error[0] == '{' {
		return errorText(failure.Error)
	}
	if len(failure.Message) > maxErrorText {
		return strings.ToValidUTF8(failure.Message[:maxErrorText], "") + "\u2026"
	}
	return failure.Message
}
