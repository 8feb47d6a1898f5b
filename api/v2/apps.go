package v2

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"jetstep/history/view"
)

// pageOfApps are the sizes of pages of apps, functions and runs.
var pageOfApps = limits{usual: 20, most: 100, zeroIsUsual: true}

func (s *server) apps(r *http.Request, _ []string) (*answer, error) {
	p := paramsOf(r)
	limit, cursor, err := p.page(pageOfApps)
	if err != nil {
		return nil, err
	}
	archived, err := p.flag("archived")
	if err != nil {
		return nil, err
	}
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	var wanted []view.App
	for _, app := range c.apps {
		if app.Archived == archived {
			wanted = append(wanted, app)
		}
	}
	page, more := window(wanted, func(app view.App) string { return app.ID.String() }, cursor, limit)
	var items []object
	for _, app := range page {
		items = append(items, c.show(app))
		cursor = app.ID.String()
	}
	return listing(items, cursor, more, limit), nil
}

// page reads limit and cursor of a list in the order of UUIDs.
func (p params) page(l limits) (limit int, cursor string, err error) {
	if limit, err = p.limit(l); err != nil {
		return 0, "", err
	}
	if text := p.Get("cursor"); text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			return 0, "", errCursor
		}
		cursor = id.String()
	}
	return limit, cursor, nil
}

func (s *server) app(r *http.Request, path []string) (*answer, error) {
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	app, ok := c.find(path[0])
	if !ok {
		return nil, missing("App not found")
	}
	return single(c.show(app))
}

// show is an app as clients see it.
func (c *catalog) show(app view.App) object {
	sync := object{}
	sync.set("appVersion", app.Version)
	sync.set("framework", app.Framework)
	sync.set("sdkLanguage", app.SDKLanguage)
	sync.set("sdkVersion", app.SDKVersion)
	sync.set("url", app.URL)
	sync.set("error", app.Error)

	o := object{}
	o.set("appVersion", app.Version)
	o.set("archivedAt", stamp(app.ArchivedAt))
	o.set("createdAt", stamp(app.CreatedAt))
	o.set("functionCount", len(c.live(app.ID)))
	o.set("id", publicID(app))
	o.set("isArchived", app.Archived)
	o.set("latestSync", sync)
	o.set("method", strings.ToUpper(app.Method))
	o.set("name", app.Name)
	return o
}

// publicID is the name of an app, or its UUID before it has one.
func publicID(app view.App) string {
	if app.Name == "" {
		return app.ID.String()
	}
	return app.Name
}
