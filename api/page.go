package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jetstep/function"
	"jetstep/history"
	"jetstep/state"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

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
func (s *Server) page(c echo.Context) error {
	runs, err := s.cfg.History.RecentRuns(c.Request().Context(), pageRuns)
	if err != nil {
		return err
	}
	view := pageView{Version: s.cfg.Version, NotReady: s.cfg.NotReady()}
	slugs := map[uuid.UUID]string{}
	catalog := s.cfg.Catalog.Catalog()
	for _, app := range catalog.Apps {
		shown := appView{App: app}
		for i := range app.Functions {
			fn := &app.Functions[i]
			slugs[fn.ID] = fn.Slug
			shown.Functions = append(shown.Functions, functionView{
				Slug: fn.Slug, Name: fn.Name, Triggers: showTriggers(fn.Triggers), Paused: catalog.Paused(fn.ID),
			})
		}
		for i := range app.Archived {
			slugs[app.Archived[i].ID] = app.Archived[i].Slug
		}
		view.Apps = append(view.Apps, shown)
	}
	// After a start they are in the order in which the logs were read.
	slices.SortStableFunc(runs, func(a, b history.Run) int { return b.QueuedAt.Compare(a.QueuedAt) })
	for i := range runs {
		view.Runs = append(view.Runs, showRecentRun(&runs[i], slugs))
	}
	events, err := s.recentEvents(c.Request().Context())
	if err != nil {
		return err
	}
	view.Events = events
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, view); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set(echo.HeaderCacheControl, "no-store")
	return c.HTMLBlob(http.StatusOK, text.Bytes())
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

func showRecentRun(r *history.Run, slugs map[uuid.UUID]string) runView {
	shown := runView{ID: r.ID.String(), Function: slugs[r.FunctionID], Status: r.Status.String(), Reason: r.Reason,
		QueuedAt: r.QueuedAt.UTC().Format(time.DateTime)}
	if shown.Function == "" {
		shown.Function = r.FunctionID.String() // it is no longer registered
	}
	if !r.EndedAt.IsZero() {
		shown.Took = r.EndedAt.Sub(r.QueuedAt).Round(time.Millisecond).String()
	}
	if r.Status == state.Failed {
		shown.Reason = errorText(r.Output)
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
