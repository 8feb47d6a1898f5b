package graph

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/view"
)

// operation is what the resolvers of one request share, so that a list of runs
// does not read the functions, apps and events of each run by itself.
type operation struct {
	reader  Reader
	catalog func() (*catalog, error)

	answered atomic.Int64 // fields

	mu     sync.Mutex
	events map[ulid.ULID]view.Event // that were looked for
	runs   map[ulid.ULID][]view.Run // of events that were looked for
	listed []ulid.ULID              // the events of the page
}

type operationKey struct{}

func withOperation(ctx context.Context, reader Reader) context.Context {
	op := &operation{reader: reader, events: map[ulid.ULID]view.Event{}, runs: map[ulid.ULID][]view.Run{}}
	op.catalog = sync.OnceValues(func() (*catalog, error) { return readCatalog(ctx, reader) })
	return context.WithValue(ctx, operationKey{}, op)
}

func operationOf(ctx context.Context) *operation {
	return ctx.Value(operationKey{}).(*operation) // set by the handler, always
}

// catalog is what is registered, by id.
type catalog struct {
	apps      map[uuid.UUID]view.App
	functions map[uuid.UUID]view.Function
	live      []view.Function // not archived, by slug
	liveApps  []view.App      // not archived, by name
}

func readCatalog(ctx context.Context, reader Catalog) (*catalog, error) {
	apps, err := reader.Apps(ctx)
	if err != nil {
		return nil, err
	}
	functions, err := reader.Functions(ctx)
	if err != nil {
		return nil, err
	}
	c := &catalog{apps: map[uuid.UUID]view.App{}, functions: map[uuid.UUID]view.Function{}}
	for _, app := range apps {
		c.apps[app.ID] = app
		if !app.Archived {
			c.liveApps = append(c.liveApps, app)
		}
	}
	for _, f := range functions {
		c.functions[f.ID] = f
		if !f.Archived && !c.apps[f.AppID].Archived {
			c.live = append(c.live, f)
		}
	}
	slices.SortStableFunc(c.liveApps, func(a, b view.App) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(c.live, func(a, b view.Function) int { return cmp.Compare(a.Slug, b.Slug) })
	return c, nil
}

func (c *catalog) app(id uuid.UUID) (view.App, error) {
	app, ok := c.apps[id]
	if !ok {
		return view.App{}, view.ErrNotFound
	}
	return app, nil
}

func (c *catalog) function(id uuid.UUID) (view.Function, error) {
	f, ok := c.functions[id]
	if !ok {
		return view.Function{}, view.ErrNotFound
	}
	return f, nil
}

func (c *catalog) bySlug(slug string) (view.Function, bool) {
	for _, f := range c.live {
		if f.Slug == slug {
			return f, true
		}
	}
	return view.Function{}, false
}

func (c *catalog) functionsOf(app uuid.UUID) []view.Function {
	var own []view.Function
	for _, f := range c.live {
		if f.AppID == app {
			own = append(own, f)
		}
	}
	return own
}

// expect says which events the fields of the request will ask about.
func (o *operation) expect(ids ...ulid.ULID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = append(o.listed, ids...)
}

// pending are the expected ids and id, as far as known does not have them.
// The lock is held.
func pending[V any](o *operation, id ulid.ULID, known map[ulid.ULID]V) []ulid.ULID {
	var missing []ulid.ULID
	for _, candidate := range append(slices.Clone(o.listed), id) {
		if _, have := known[candidate]; !have && !slices.Contains(missing, candidate) {
			missing = append(missing, candidate)
		}
	}
	return missing
}

// event reads an event together with all expected ones.
func (o *operation) event(ctx context.Context, id ulid.ULID) (view.Event, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.events[id]; !known {
		missing := pending(o, id, o.events)
		found, err := o.reader.EventsByID(ctx, missing)
		if err != nil {
			return view.Event{}, false, err
		}
		for _, missed := range missing {
			o.events[missed] = view.Event{}
		}
		for _, event := range found {
			o.events[event.InternalID] = event
		}
	}
	event := o.events[id]
	return event, !event.InternalID.IsZero(), nil
}

// runsOf reads the runs of an event together with those of all expected ones.
func (o *operation) runsOf(ctx context.Context, id ulid.ULID) ([]view.Run, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.runs[id]; !known {
		missing := pending(o, id, o.runs)
		found, err := o.reader.RunsOfEvents(ctx, missing)
		if err != nil {
			return nil, err
		}
		for _, event := range missing {
			o.runs[event] = found[event]
		}
	}
	return o.runs[id], nil
}
