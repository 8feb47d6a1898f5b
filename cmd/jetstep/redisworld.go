package main

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	redisengine "jetstep/compat/redis/engine"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/server"
	"jetstep/function"
	"jetstep/state"
)

// redisRegistry is the registry as the Redis path sees it.
type redisRegistry struct{ *bus.Registry }

var _ server.Registry = redisRegistry{}

// Known implements gates.Functions.
func (r redisRegistry) Known(id uuid.UUID) (gates.Known, bool) {
	catalog := r.Catalog()
	if fn, ok := catalog.Function(id); ok {
		return known(catalog, fn), true
	}
	fn, app, ok := catalog.Executable(id)
	return gates.Known{Function: fn, App: app, Removed: true}, ok
}

func known(catalog *bus.Catalog, fn *bus.Registered) gates.Known {
	return gates.Known{
		Function: fn.Function, App: fn.App.ID, Paused: catalog.Paused(fn.ID), Cancellations: catalog.Cancellations(fn.ID),
	}
}

func allKnown(catalog *bus.Catalog, functions []*bus.Registered) []gates.Known {
	list := make([]gates.Known, len(functions))
	for i, fn := range functions {
		list[i] = known(catalog, fn)
	}
	return list
}

// Crons implements gates.Functions.
func (r redisRegistry) Crons() []gates.Known {
	catalog := r.Catalog()
	return allKnown(catalog, catalog.Crons())
}

// Active implements server.Registry.
func (r redisRegistry) Active() []gates.Known {
	catalog := r.Catalog()
	return allKnown(catalog, catalog.Functions())
}

// Lookup implements server.Registry.
func (r redisRegistry) Lookup(idOrSlug string) (gates.Known, bool) {
	catalog := r.Catalog()
	fn, ok := catalog.Lookup(idOrSlug)
	if !ok {
		return gates.Known{}, false
	}
	return known(catalog, fn), true
}

// Triggered implements server.Registry.
func (r redisRegistry) Triggered(event string) []gates.Known {
	catalog := r.Catalog()
	return allKnown(catalog, catalog.Triggered(event))
}

// Watch implements server.Registry.
func (r redisRegistry) Watch(changed func()) (stop func()) {
	return r.Registry.Watch(func(*bus.Catalog) { changed() })
}

// redisWorld is what runs in Redis have to do with besides it: the bus.
type redisWorld struct{ p *redisPath }

var _ server.World = redisWorld{}

// Publish implements server.World.
func (w redisWorld) Publish(ctx context.Context, events []state.Outgoing) error {
	list := make([]*bus.Event, len(events))
	for i := range events {
		list[i] = w.outgoing(&events[i], time.Now())
	}
	return w.p.bus.Publish(ctx, list)
}

// outgoing gives an event its ids. That of its sender is the same when it is sent
// again, so that it starts nothing twice.
func (w redisWorld) outgoing(e *state.Outgoing, now time.Time) *bus.Event {
	sent := state.SentEvent{Name: e.Name, Data: e.Data}
	sent.Fit(w.p.bus.MaxEventData())
	event := &bus.Event{
		InternalID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()),
		ID:         e.ID, Name: e.Name, Data: sent.Data, User: e.User, V: e.V, Meta: e.Meta, TS: now.UnixMilli(),
	}
	if id, err := ulid.ParseStrict(e.ID); err == nil && e.Name == state.EventInvoked {
		event.InternalID = id // by which the wait and the history name it
	}
	if event.ID == "" {
		event.ID = function.HashHex(e.Name + "\x00" + string(e.Data))
	}
	return event
}

// Accept implements server.World.
func (w redisWorld) Accept(ctx context.Context, e *redisengine.Event) error {
	event, err := bus.ParseEvent(e.JSON)
	if err != nil {
		return err
	}
	event.InternalID = e.ID
	sent := state.SentEvent{Name: event.Name, Data: event.Data} // of a durable endpoint it has the request's body
	sent.Fit(w.p.bus.MaxEventData())
	event.Data = sent.Data
	if string(event.User) == "{}" {
		event.User = nil
	}
	return w.p.bus.Publish(ctx, []*bus.Event{event})
}

// Decided implements server.World.
func (w redisWorld) Decided(fn uuid.UUID, outcome gates.Outcome) {
	w.p.recorder.StartDecided(fn, string(outcome))
}
