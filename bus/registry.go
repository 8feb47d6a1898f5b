package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jetstep/function"
)

// The registry's bucket as a stream.
const (
	registryStream = "KV_" + registryBucket
	registryKeys   = "$KV." + registryBucket + "."
	// headerOperation marks the removal of a key.
	headerOperation = "KV-Operation"
)

// Registry is the source of truth for apps and their functions: a key-value
// bucket with one value for each app, followed by every process.
type Registry struct {
	bus     *Bus
	kv      jetstream.KeyValue
	catalog atomic.Pointer[Catalog]
	end     func() // stops following

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
	r := &Registry{bus: b, apps: map[uuid.UUID]*function.App{}, seen: map[uuid.UUID]uint64{}, watchers: map[int]func(*Catalog){}}
	r.changed = sync.NewCond(&r.mu)
	r.catalog.Store(newCatalog(r.apps))
	if err := r.open(ctx); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r, nil
}

func (r *Registry) open(ctx context.Context) (err error) {
	if r.kv, err = r.bus.control.js.KeyValue(ctx, registryBucket); err != nil {
		return err
	}
	info, err := r.bus.findStream(ctx, registryStream)
	if err != nil {
		return err
	}
	f := follower{registry: r, last: info.State.LastSeq, loaded: make(chan struct{})}
	if info.State.Msgs == 0 {
		f.finishLoading()
	}
	if r.end, err = r.bus.consume(ctx, registryStream, registryKeys+">", 0, f.handle); err != nil {
		return err
	}
	select {
	case <-f.loaded:
		return nil
	case <-ctx.Done():
		r.stop()
		return context.Cause(ctx)
	}
}

// follower applies the registry's changes in their order. Everything up to
// sequence last is there already and becomes one catalog.
type follower struct {
	registry *Registry
	last     uint64
	ready    bool
	loaded   chan struct{} // closed when the catalog is complete
}

func (f *follower) handle(seq uint64, _ time.Time, m jetstream.Msg) {
	r := f.registry
	key := strings.TrimPrefix(m.Subject(), registryKeys)
	app, err := readApp(key, m.Headers(), m.Data())
	switch {
	case err != nil:
		// A value nobody of us wrote: keep what we had for that app.
		r.bus.log.Error("registry holds an unreadable app", "key", key, "error", err)
	case f.ready:
		r.changeCatalog(func() { r.apps[app.ID], r.seen[app.ID] = app, seq })
	default:
		r.apps[app.ID], r.seen[app.ID] = app, seq
	}
	if !f.ready && (seq >= f.last || isLast(m)) {
		f.finishLoading()
	}
}

// isLast tells whether no message followed when this one was sent: the last of
// the sequences may be that of a message which someone removed.
func isLast(m jetstream.Msg) bool {
	meta, err := m.Metadata()
	return err == nil && meta.NumPending == 0
}

func (f *follower) finishLoading() {
	f.ready = true
	f.registry.changeCatalog(func() {})
	close(f.loaded)
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
func readApp(key string, header nats.Header, value []byte) (*function.App, error) {
	if header.Get(headerOperation) != "" {
		return nil, errors.New("the key was deleted, which jetstep never does")
	}
	var app function.App
	if err := json.Unmarshal(value, &app); err != nil {
		return nil, err
	}
	if app.ID.String() != key {
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
		revision, err = r.store(ctx, id, value, revision)
		if isWrongSequence(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("registry: store app %s: %w", id, err)
		}
		return app, r.await(ctx, id, revision)
	}
}

// store writes an app that is stored as revision, 0 for not at all.
func (r *Registry) store(ctx context.Context, id uuid.UUID, value []byte, revision uint64) (uint64, error) {
	return query(ctx, func(ctx context.Context) (uint64, error) {
		if revision == 0 {
			return r.kv.Create(ctx, id.String(), value)
		}
		return r.kv.Update(ctx, id.String(), value, revision)
	})
}

func (r *Registry) get(ctx context.Context, id uuid.UUID) (*function.App, uint64, error) {
	entry, err := query(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) {
		return r.kv.Get(ctx, id.String())
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("registry: load app %s: %w", id, err)
	}
	app, err := readApp(entry.Key(), nil, entry.Value())
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
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.changed.Broadcast()
}
