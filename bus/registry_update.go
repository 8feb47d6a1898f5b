package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"jetstep/function"
)

// Update changes one app by compare-and-set: change gets the stored app (nil
// when there is none) and returns the new one, or nil for no change. It may
// run several times. Update returns the stored app once the local catalog
// shows it.
func (r *Registry) Update(ctx context.Context, id uuid.UUID, change func(*function.App) (*function.App, error)) (*function.App, error) {
	return update(ctx, r, id.String(), readApp, func(old *function.App) (*function.App, error) {
		app, err := change(old)
		if app != nil {
			app.ID = id
		}
		return app, err
	})
}

// update is Update for the value of any key.
func update[T any](
	ctx context.Context, r *Registry, key string, read func(string, []byte) (*T, error), change func(*T) (*T, error),
) (*T, error) {
	for {
		stored, revision, err := r.get(ctx, key)
		if err != nil {
			return nil, err
		}
		var old *T
		if revision > 0 {
			if old, err = read(key, stored); err != nil {
				return nil, fmt.Errorf("registry: %s is unreadable: %w", key, err)
			}
		}
		changed, err := change(old)
		if err != nil {
			return nil, err
		}
		if changed == nil {
			return old, nil
		}
		value, err := json.Marshal(changed)
		if err != nil {
			return nil, fmt.Errorf("registry: %s: %w", key, err)
		}
		revision, err = r.store(ctx, key, value, revision)
		if isWrongSequence(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("registry: store %s: %w", key, err)
		}
		return changed, r.await(ctx, key, revision)
	}
}

// store writes a value that is stored as revision, 0 for not at all.
func (r *Registry) store(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return query(ctx, func(ctx context.Context) (uint64, error) {
		if revision == 0 {
			return r.kv.Create(ctx, key, value)
		}
		return r.kv.Update(ctx, key, value, revision)
	})
}

// get reads a value and its revision, 0 when there is none.
func (r *Registry) get(ctx context.Context, key string) ([]byte, uint64, error) {
	entry, err := query(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) {
		return r.kv.Get(ctx, key)
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("registry: load %s: %w", key, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// await blocks until the catalog shows that revision.
func (r *Registry) await(ctx context.Context, key string, revision uint64) error {
	return r.until(ctx, key+" is stored but", func() bool { return r.seen[key] >= revision })
}

// until blocks until what follows of the registry has come so far; seen is asked
// while mu is held. what begins the error: "… not yet seen".
func (r *Registry) until(ctx context.Context, what string, seen func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !seen() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("registry: %s not yet seen: %w", what, err)
		}
		if r.closed {
			return fmt.Errorf("registry: %s not seen: %w", what, errBusClosed)
		}
		r.changed.Wait()
	}
	return nil
}
