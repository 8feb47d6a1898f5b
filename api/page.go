package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"jetstep/function"
	"jetstep/history"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageRuns is how many recent runs the page shows.
const pageRuns = 50

// pageView is what the page shows.
type pageView struct {
	Version  string
	NotReady []string
	Apps     []appView
	Runs     []runView
}

type appView struct {
	*function.App
	Functions []functionView
}

type functionView struct {
	Slug, Name, Triggers string
}

type runView struct {
	ID, Function, Status, Reason string
	QueuedAt                     string
	Took                         string // "" until it has ended
}

// page is GET /: what is registered and what ran lately, for people.
func (s *Server) page(c echo.Context) error {
	runs, err := s.cfg.History.RecentRuns(c.Request().Context(), pageRuns)
	if err != nil {
		return err
	}
	view := pageView{Version: s.cfg.Version, NotReady: s.cfg.NotReady()}
	slugs := map[uuid.UUID]string{}
	for _, app := range s.cfg.Catalog.Catalog().Apps {
		shown := appView{App: app}
		for i := range app.Functions {
			fn := &app.Functions[i]
			slugs[fn.ID] = fn.Slug
			shown.Functions = append(shown.Functions, functionView{Slug: fn.Slug, Name: fn.Name, Triggers: showTriggers(fn.Triggers)})
		}
		view.Apps = append(view.Apps, shown)
	}
	for i := range runs {
		view.Runs = append(view.Runs, showRecentRun(&runs[i], slugs))
	}
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, view); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set(echo.HeaderCacheControl, "no-store")
	return c.HTMLBlob(http.StatusOK, text.Bytes())
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
	return shown
}
