package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"jetstep/function"
)

// Registry is the source of truth for apps and their functions: a key-value
// bucket with one value for each app, watched by every process.
type Registry struct {
	bus     *Bus
	kv      jetstream.KeyValue
	watcher jetstream.KeyWatcher
	catalog atomic.Pointer[Catalog]
	done    chan struct{}

	mu       sync.Mutex
	changed  *sync.Cond
	apps     map[uuid.UUID]*function.App
	seen     map[uuid.UUID]uint64 // revision shown by the catalog
	watchers map[int]func(*Catalog)
	nextID   int
	closed   bool
}

// openRegistry loads all apps and keeps following changes.
func openRegistry(ctx context.Context, b *Bus) (*Registry, error) {
	kv, err := b.control.js.KeyValue(ctx, registryBucket)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{bus: b, kv: kv, done: make(chan struct{}),
		apps: map[uuid.UUID]*function.App{}, seen: map[uuid.UUID]uint64{}, watchers: map[int]func(*Catalog){}}
	r.changed = sync.NewCond(&r.mu)
	r.catalog.Store(newCatalog(r.apps))
	if r.watcher, err = kv.WatchAll(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	loaded := make(chan struct{})
	go r.follow(loaded)
	select {
	case <-loaded:
		return r, nil
	case <-ctx.Done():
		r.stop()
		return nil, fmt.Errorf("registry: %w", context.Cause(ctx))
	}
}

// follow applies what the watcher tells until it is stopped. Everything stored
// before comes first, ended by nil, and becomes one catalog.
func (r *Registry) follow(loaded chan struct{}) {
	defer close(r.done)
	loading := true
	for entry := range r.watcher.Updates() {
		if entry == nil {
			loading = false
			r.changeCatalog(func() {})
			close(loaded)
			continue
		}
		app, err := readApp(entry)
		if err != nil {
			// A value nobody of us wrote: keep what we had for that app.
			r.bus.log.Error("registry holds an unreadable app", "key", entry.Key(), "error", err)
			continue
		}
		if loading {
			r.apps[app.ID], r.seen[app.ID] = app, entry.Revision()
			continue
		}
		r.changeCatalog(func() { r.apps[app.ID], r.seen[app.ID] = app, entry.Revision() })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.changed.Broadcast()
}

// changeCatalog shows everyone the apps after a change.
func (r *Registry) changeCatalog(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	catalog := newCatalog(maps.Clone(r.apps))
	r.catalog.Store(catalog)
	r.changed.Broadcast()
	for _, fn := range r.watchers {
		fn(catalog)
	}
}

// readApp decodes a stored app, which must be the one that its key names.
func readApp(entry jetstream.KeyValueEntry) (*function.App, error) {
	if entry.Operation() != jetstream.KeyValuePut {
		return nil, errors.New("the key was deleted, which jetstep never does")
	}
	var app function.App
	if err := json.Unmarshal(entry.Value(), &app); err != nil {
		return nil, err
	}
	if app.ID.String() != entry.Key() {
		return nil, fmt.Errorf("it is app %s", app.ID)
	}
	return &app, nil
}

// Catalog is what is registered now.
func (r *Registry) Catalog() *Catalog { return r.catalog.Load() }

// Executable is Catalog().Executable.
func (r *Registry) Executable(id uuid.UUID) (fn *function.Function, app uuid.UUID, ok bool) {
	return r.Catalog().Executable(id)
}

// Watch calls fn with the present catalog and after each change, until stop is
// called. fn must be quick and must not call back into the registry.
func (r *Registry) Watch(fn func(*Catalog)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.nextID
	r.nextID++
	r.watchers[id] = fn
	fn(r.catalog.Load())
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, id)
	}
}

// Update changes one app by compare-and-set: change gets the stored app (nil
// when there is none) and returns the new one, or nil for no change. It may
// run several times. Update returns the stored app once the local catalog
// shows it.
func (r *Registry) Update(ctx context.Context, id uuid.UUID, change func(*function.App) (*function.App, error)) (*function.App, error) {
	for {
		old, revision, err := r.get(ctx, id)
		if err != nil {
			return nil, err
		}
		app, err := change(old)
		if err != nil {
			return nil, err
		}
		if app == nil {
			return old, nil
		}
		app.ID = id
		value, err := json.Marshal(app)
		if err != nil {
			return nil, fmt.Errorf("registry: app %s: %w", id, err)
		}
		if revision == 0 {
			revision, err = r.kv.Create(ctx, id.String(), value)
		} else {
			revision, err = r.kv.Update(ctx, id.String(), value, revision)
		}
		if isWrongSequence(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("registry: store app %s: %w", id, err)
		}
		return app, r.await(ctx, id, revision)
	}
}

func (r *Registry) get(ctx context.Context, id uuid.UUID) (*function.App, uint64, error) {
	entry, err := r.kv.Get(ctx, id.String())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("registry: load app %s: %w", id, err)
	}
	app, err := readApp(entry)
	if err != nil {
		return nil, 0, fmt.Errorf("registry: app %s is unreadable: %w", id, err)
	}
	return app, entry.Revision(), nil
}

// await blocks until the catalog shows that revision.
func (r *Registry) await(ctx context.Context, id uuid.UUID, revision uint64) error {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.seen[id] < revision {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("registry: app %s is stored but not yet seen: %w", id, err)
		}
		if r.closed {
			return fmt.Errorf("registry: app %s is stored but not seen: %w", id, errBusClosed)
		}
		r.changed.Wait()
	}
	return nil
}

// stop ends following; the catalog stays as it is.
func (r *Registry) stop() {
	_ = r.watcher.Stop() // the connection may be gone; the channel closes anyway
	<-r.done
}
