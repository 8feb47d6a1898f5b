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
// bucket, followed by every process. It has one value for each app, and one for
// each function that people decided something about (function.Control).
type Registry struct {
	bus     *Bus
	kv      jetstream.KeyValue
	catalog atomic.Pointer[Catalog]
	// revision is up to which sequence changes are known, and changedAt when this
	// process learned of the last, in nanoseconds since 1970.
	revision  atomic.Uint64
	changedAt atomic.Int64
	end       func() // stops following

	mu       sync.Mutex
	changed  *sync.Cond
	apps     map[uuid.UUID]*function.App
	controls map[uuid.UUID]*function.Control
	seen     map[string]uint64 // revision shown by the catalog, by key
	watchers map[int]func(*Catalog)
	nextID   int
	closed   bool
}

// openRegistry loads all apps and keeps following changes.
func openRegistry(ctx context.Context, b *Bus) (*Registry, error) {
	r := &Registry{
		bus: b, apps: map[uuid.UUID]*function.App{}, controls: map[uuid.UUID]*function.Control{},
		seen: map[string]uint64{}, watchers: map[int]func(*Catalog){},
	}
	r.changed = sync.NewCond(&r.mu)
	r.catalog.Store(newCatalog(r.apps, r.controls))
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
		r.revision.Store(info.State.LastSeq)
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
	change, err := r.read(key, m.Headers(), m.Data())
	switch {
	case err != nil:
		// A value nobody of us wrote: keep what we had for that key.
		r.bus.log.Error("registry holds an unreadable value", "key", key, "error", err)
	case f.ready:
		r.changeCatalog(func() { change(); r.seen[key] = seq })
	default:
		change()
		r.seen[key] = seq
	}
	r.passed(seq, time.Now())
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
	catalog := newCatalog(maps.Clone(r.apps), maps.Clone(r.controls))
	r.catalog.Store(catalog)
	r.changed.Broadcast()
	for _, fn := range r.watchers {
		fn(catalog)
	}
}

// read decodes a stored value; change makes it what is known of its key.
func (r *Registry) read(key string, header nats.Header, value []byte) (change func(), err error) {
	if header.Get(headerOperation) != "" {
		return nil, errors.New("the key was deleted, which jetstep never does")
	}
	if strings.HasPrefix(key, controlPrefix) {
		control, err := readControl(key, value)
		return func() { r.controls[control.FunctionID] = control }, err
	}
	app, err := readApp(key, value)
	return func() { r.apps[app.ID] = app }, err
}

// readApp decodes a stored app, which must be the one that its key names.
func readApp(key string, value []byte) (*function.App, error) {
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

// stop ends following; the catalog stays as it is.
func (r *Registry) stop() {
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.changed.Broadcast()
}
