package bus

import (
	"iter"
	"maps"
	"slices"
	"sort"

	"github.com/google/uuid"

	"jetstep/function"
)

// Catalog is an immutable view of everything registered, made anew on each
// change so that readers need no lock.
type Catalog struct {
	Apps      []*function.App // active ones, ordered by id
	all       map[uuid.UUID]*function.App
	controls  map[uuid.UUID]*function.Control
	functions map[uuid.UUID]*Registered
	archived  map[uuid.UUID]archived
	bySlug    map[string]*Registered
	triggers  map[string][]*Registered // by trigger name, wildcards included
	crons     []*Registered
}

// Registered is an active function with its app.
type Registered struct {
	*function.Function
	App *function.App
}

// archived is a function that its app no longer has, or whose app is archived.
type archived struct {
	fn  *function.Function
	app uuid.UUID
}

// NewCatalog is a catalog of what is given. A Registry makes its own.
func NewCatalog(apps []*function.App, controls ...*function.Control) *Catalog {
	byID, byFunction := map[uuid.UUID]*function.App{}, map[uuid.UUID]*function.Control{}
	for _, app := range apps {
		byID[app.ID] = app
	}
	for _, control := range controls {
		byFunction[control.FunctionID] = control
	}
	return newCatalog(byID, byFunction)
}

// newCatalog indexes the apps. Of the functions of an archived app, as of those
// that an app no longer has, runs in flight go on.
func newCatalog(apps map[uuid.UUID]*function.App, controls map[uuid.UUID]*function.Control) *Catalog {
	c := &Catalog{
		all:       apps,
		controls:  controls,
		functions: map[uuid.UUID]*Registered{},
		archived:  map[uuid.UUID]archived{},
		bySlug:    map[string]*Registered{},
		triggers:  map[string][]*Registered{},
	}
	for _, app := range apps {
		gone := [][]function.Function{app.Archived}
		if app.ArchivedAt.IsZero() {
			c.Apps = append(c.Apps, app)
		} else {
			gone = append(gone, app.Functions)
		}
		for _, functions := range gone {
			for i := range functions {
				c.archived[functions[i].ID] = archived{&functions[i], app.ID}
			}
		}
	}
	sort.Slice(c.Apps, func(i, j int) bool { return c.Apps[i].ID.String() < c.Apps[j].ID.String() })
	for _, app := range c.Apps {
		for i := range app.Functions {
			c.add(&Registered{Function: &app.Functions[i], App: app})
		}
	}
	return c
}

func (c *Catalog) add(fn *Registered) {
	c.functions[fn.ID] = fn
	c.bySlug[fn.Slug] = fn
	cron := false
	seen := map[string]bool{}
	for _, t := range fn.Triggers {
		if t.Cron != "" {
			cron = true
		}
		if t.Event != "" && !seen[t.Event] {
			seen[t.Event] = true
			c.triggers[t.Event] = append(c.triggers[t.Event], fn)
		}
	}
	if cron {
		c.crons = append(c.crons, fn)
	}
}

// All are all apps, archived ones included, in no order.
func (c *Catalog) All() iter.Seq[*function.App] { return maps.Values(c.all) }

// Function finds an active function by id.
func (c *Catalog) Function(id uuid.UUID) (*Registered, bool) {
	fn, ok := c.functions[id]
	return fn, ok
}

// Executable finds a function that runs may still execute with: an active one,
// or one that its app no longer has, so that runs in flight can end.
func (c *Catalog) Executable(id uuid.UUID) (fn *function.Function, app uuid.UUID, ok bool) {
	if found, ok := c.functions[id]; ok {
		return found.Function, found.App.ID, true
	}
	gone, ok := c.archived[id]
	return gone.fn, gone.app, ok
}

// Lookup finds an active function by its id in text or by its slug, in any
// app (sdk-protocol §12.7).
func (c *Catalog) Lookup(idOrSlug string) (*Registered, bool) {
	if fn, ok := c.bySlug[idOrSlug]; ok {
		return fn, true
	}
	if id, err := uuid.Parse(idOrSlug); err == nil {
		return c.Function(id)
	}
	return nil, false
}

// App finds an app by id, archived ones included.
func (c *Catalog) App(id uuid.UUID) (*function.App, bool) {
	app, ok := c.all[id]
	return app, ok
}

// AppByName finds an active app by its name.
func (c *Catalog) AppByName(name string) (*function.App, bool) {
	for _, app := range c.Apps {
		if app.Name == name && name != "" {
			return app, true
		}
	}
	return nil, false
}

// AppsByURL lists the active apps with that normalised URL.
func (c *Catalog) AppsByURL(url string) []*function.App {
	var found []*function.App
	for _, app := range c.Apps {
		if app.URL == url {
			found = append(found, app)
		}
	}
	return found
}

// Functions lists the active functions ordered by slug.
func (c *Catalog) Functions() []*Registered {
	list := make([]*Registered, 0, len(c.functions))
	for _, fn := range c.functions {
		list = append(list, fn)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Slug < list[j].Slug })
	return list
}

// Crons lists the functions with at least one cron trigger.
func (c *Catalog) Crons() []*Registered { return c.crons }

// Triggered lists the functions that have a trigger whose name or wildcard
// fits the event name, each once (sdk-protocol §6.5). Expressions are the
// caller's.
func (c *Catalog) Triggered(event string) []*Registered {
	list := slices.Clip(c.triggers[event]) // whoever appends gets a copy
	for i := 0; i < len(event); i++ {
		if event[i] == '/' || event[i] == '.' {
			list = appendMissing(list, c.triggers[event[:i+1]+"*"])
		}
	}
	return list
}

func appendMissing(list, more []*Registered) []*Registered {
	for _, fn := range more {
		if !slices.Contains(list, fn) {
			list = append(list, fn)
		}
	}
	return list
}
