package v2

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"jetstep/function"
	"jetstep/history/view"
)

func (s *server) functions(r *http.Request, path []string) (*answer, error) {
	limit, cursor, err := paramsOf(r).page(pageOfApps)
	if err != nil {
		return nil, err
	}
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	app, ok := c.find(path[0])
	if !ok {
		return listing(nil, "", false, limit), nil
	}
	page, more := window(c.live(app.ID), func(f view.Function) string { return f.ID.String() }, cursor, limit)
	var items []object
	for _, f := range page {
		item, err := showFunction(app, f)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		cursor = f.ID.String()
	}
	return listing(items, cursor, more, limit), nil
}

func (s *server) function(r *http.Request, path []string) (*answer, error) {
	app, f, err := s.findFunction(r, path)
	if err != nil {
		return nil, err
	}
	shown, err := showFunction(app, f)
	if err != nil {
		return nil, err
	}
	return single(shown)
}

// findFunction is the function that a path names: its app, and then itself.
func (s *server) findFunction(r *http.Request, path []string) (view.App, view.Function, error) {
	c, err := s.catalog(r)
	if err != nil {
		return view.App{}, view.Function{}, err
	}
	app, f, ok := c.findFunction(path[0], path[1])
	if !ok {
		return app, f, missing("Function not found")
	}
	return app, f, nil
}

// findFunction looks for a function that is not archived by its id, with or
// without that of its app.
func (c *catalog) findFunction(nameOrID, id string) (view.App, view.Function, bool) {
	app, ok := c.find(nameOrID)
	if !ok {
		return app, view.Function{}, false
	}
	for _, f := range c.live(app.ID) {
		if f.Slug == id || shortID(app, f.Slug) == id {
			return app, f, true
		}
	}
	return app, view.Function{}, false
}

// shortID is the id of a function without its app.
func shortID(app view.App, slug string) string {
	return strings.TrimPrefix(slug, app.Name+"-")
}

// stored reads a function's definition.
func stored(f view.Function) (*function.Function, error) {
	var definition function.Function
	if err := json.Unmarshal(f.Config, &definition); err != nil {
		return nil, fmt.Errorf("reading the definition of function %s: %w", f.ID, err)
	}
	return &definition, nil
}

func showFunction(app view.App, f view.Function) (object, error) {
	definition, err := stored(f)
	if err != nil {
		return nil, err
	}
	var triggers []object
	for _, t := range definition.Triggers {
		trigger := object{"type": "EVENT", "value": t.Event}
		if t.Cron != "" {
			trigger = object{"type": "CRON", "value": t.Cron}
		}
		trigger.set("if", t.Expression)
		triggers = append(triggers, trigger)
	}
	id := shortID(app, definition.Slug)
	o := object{"app": object{"id": publicID(app)}, "configuration": configuration(definition), "id": id, "slug": id}
	o.set("isPaused", f.Paused)
	o.set("name", definition.Name)
	o.set("triggers", triggers)
	return o, nil
}
