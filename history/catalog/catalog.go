// Package catalog keeps the tables apps and functions as the registry has it, in
// the form of the original (database §5), and takes over what a database had
// before Jetstep.
//
// It guarantees that a change of the registry reaches the database, however long
// that was out of reach, and that ids of existing rows are kept: those of an
// adopted database are the ids of its apps and functions here. The registry is
// the truth from then on: it must never be changed by what is in the tables.
package catalog

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history/database"
)

// Registry is what is registered; see bus.Registry.
type Registry interface {
	Catalog() *bus.Catalog
	Watch(fn func(*bus.Catalog)) (stop func())
	Update(ctx context.Context, id uuid.UUID, change func(*function.App) (*function.App, error)) (*function.App, error)
}

// Store has the tables; see database.Store.
type Store interface {
	Apps(ctx context.Context, archived bool) ([]database.App, error)
	Functions(ctx context.Context, archived bool) ([]database.Function, error)
	Write(ctx context.Context, r *database.Records) error
}

// Config is what a Catalog connects.
type Config struct {
	Registry Registry
	Store    Store
	Logger   *slog.Logger // nil for none
}

// Catalog keeps the tables.
type Catalog struct {
	config  Config
	log     *slog.Logger
	adopted atomic.Bool
}

// New makes a Catalog; Run makes it work.
func New(config Config) *Catalog {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Catalog{config: config, log: config.Logger}
}

// A write that failed is tried again, after retryMin at first.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// Run adopts, unless that is done, and then writes the registry whenever it has
// changed, until ctx ends.
func (c *Catalog) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	stop := c.config.Registry.Watch(func(*bus.Catalog) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			c.untilDone(ctx)
		}
	}
}

// untilDone writes the registry as it is, however often that has to be tried.
func (c *Catalog) untilDone(ctx context.Context) {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := c.bring(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if pause == retryMin {
			c.log.Warn("apps and functions cannot be written to the history; it is tried again", "error", err)
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// bring makes the tables say what the registry does now.
func (c *Catalog) bring(ctx context.Context) error {
	if !c.adopted.Load() {
		if err := c.Adopt(ctx); err != nil {
			return err
		}
	}
	stored, err := c.read(ctx)
	if err != nil {
		return err
	}
	registered := slices.SortedFunc(c.config.Registry.Catalog().All(), func(a, b *function.App) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	todo := changes(registered, stored, time.Now().UTC())
	if len(todo.apps) == 0 && len(todo.functions) == 0 {
		return nil
	}
	err = c.config.Store.Write(ctx, &database.Records{Apps: todo.apps, Functions: todo.functions})
	if database.Refused(err) {
		return c.writeEach(ctx, todo)
	}
	return err
}

// writeEach writes rows one by one, as far as the database takes them: a name
// with a byte that PostgreSQL has no room for must not keep other apps out.
func (c *Catalog) writeEach(ctx context.Context, todo tables) error {
	for _, app := range todo.apps {
		err := c.config.Store.Write(ctx, &database.Records{Apps: []database.App{app}})
		if err := c.unlessRefused(err, "app", app.Name); err != nil {
			return err
		}
	}
	for _, fn := range todo.functions {
		err := c.config.Store.Write(ctx, &database.Records{Functions: []database.Function{fn}})
		if err := c.unlessRefused(err, "function_id", fn.Slug); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) unlessRefused(err error, kind, name string) error {
	if !database.Refused(err) {
		return err
	}
	c.log.Error("the history does not take what is registered; its row is left as it was", kind, name, "error", err)
	return nil
}

func (c *Catalog) read(ctx context.Context) (tables, error) {
	apps, err := c.config.Store.Apps(ctx, true)
	if err != nil {
		return tables{}, err
	}
	functions, err := c.config.Store.Functions(ctx, true)
	return tables{apps, functions}, err
}
