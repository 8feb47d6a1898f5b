package live

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/history/catalog"
	"jetstep/history/reader"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/state"
)

// Registry is what is registered; see bus.Registry.
type Registry interface {
	Catalog() *bus.Catalog
}

// View is the read model of GraphQL and REST v2: a Reader with the registry as it
// is now, and with what an Overlay knows of runs.
type View struct {
	*reader.Reader
	overlay  *Overlay
	registry Registry
	shown    atomic.Pointer[registered]
}

// registered are the rows of a catalog, which does not change.
type registered struct {
	catalog   *bus.Catalog
	apps      []view.App
	functions []view.Function
}

// NewView makes a View.
func NewView(r *reader.Reader, overlay *Overlay, registry Registry) *View {
	return &View{Reader: r, overlay: overlay, registry: registry}
}

// current is the registry as rows, made anew after each change of it.
func (v *View) current() *registered {
	now := v.registry.Catalog()
	if known := v.shown.Load(); known != nil && known.catalog == now {
		return known
	}
	r := &registered{catalog: now}
	for app := range now.All() {
		r.apps = append(r.apps, reader.ToApp(catalog.AppRow(app)))
		for _, row := range catalog.FunctionRows(app) {
			fn := reader.ToFunction(row)
			fn.Paused = now.Paused(fn.ID)
			r.functions = append(r.functions, fn)
		}
	}
	v.shown.Store(r)
	return r
}

// Apps lists all apps, archived ones too.
func (v *View) Apps(ctx context.Context) ([]view.App, error) {
	stored, err := v.Reader.Apps(ctx)
	if err != nil {
		return nil, err
	}
	now := v.current()
	apps := slices.Clone(now.apps)
	for _, app := range stored {
		if _, known := now.catalog.App(app.ID); !known {
			apps = append(apps, app)
		}
	}
	slices.SortFunc(apps, func(a, b view.App) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return apps, nil
}

// Functions lists all functions, archived ones too. One that the registry does
// not have of an app that it has is gone.
func (v *View) Functions(ctx context.Context) ([]view.Function, error) {
	stored, err := v.Reader.Functions(ctx)
	if err != nil {
		return nil, err
	}
	now := v.current()
	functions := slices.Clone(now.functions)
	listed := make(map[uuid.UUID]bool, len(functions))
	for _, fn := range functions {
		listed[fn.ID] = true
	}
	for _, fn := range stored {
		if listed[fn.ID] {
			continue
		}
		if _, known := now.catalog.App(fn.AppID); known {
			fn.Archived = true
		}
		functions = append(functions, fn)
	}
	return functions, nil
}

// Run finds a run, also one that the database does not have yet.
func (v *View) Run(ctx context.Context, id ulid.ULID) (view.Run, error) {
	run, err := v.Reader.Run(ctx, id)
	if err == nil {
		v.lay(&run)
		return run, nil
	}
	if !errors.Is(err, view.ErrNotFound) {
		return view.Run{}, err
	}
	unwritten, unknown := v.overlay.unwritten(ctx, id)
	switch {
	case errors.Is(unknown, history.ErrRunNotFound):
		return view.Run{}, err
	case unknown != nil:
		return view.Run{}, unknown
	}
	v.overlay.overlay(&unwritten)
	return v.show(&unwritten), nil
}

// Runs lists runs. Where a status is asked for, that of the database counts.
func (v *View) Runs(ctx context.Context, query view.RunQuery) ([]view.Run, error) {
	runs, err := v.Reader.Runs(ctx, query)
	if len(query.Statuses) > 0 {
		return runs, err
	}
	for i := range runs {
		v.lay(&runs[i])
		if query.Source == view.FromSpans {
			runs[i].Output = nil // such a list never has it
		}
	}
	return runs, err
}

// RunsOfEvents finds the runs of events, skipped ones too.
func (v *View) RunsOfEvents(ctx context.Context, events []ulid.ULID) (map[ulid.ULID][]view.Run, error) {
	found, err := v.Reader.RunsOfEvents(ctx, events)
	if err != nil {
		return nil, err
	}
	for event, runs := range found {
		for i := range runs {
			v.lay(&found[event][i])
		}
	}
	for _, event := range events {
		added := false
		for _, run := range v.overlay.startedBy(event) {
			if slices.ContainsFunc(found[event], func(r view.Run) bool { return r.ID == run.ID }) {
				continue
			}
			v.overlay.overlay(&run)
			found[event], added = append(found[event], v.show(&run)), true
		}
		if added {
			slices.SortFunc(found[event], func(a, b view.Run) int { return a.ID.Compare(b.ID) })
		}
	}
	return found, nil
}

// startedBy lists the latest runs that have the event among theirs.
func (o *Overlay) startedBy(event ulid.ULID) []history.Run {
	var found []history.Run
	o.mu.RLock()
	defer o.mu.RUnlock()
	for i := range o.runs.items {
		if run := &o.runs.items[i]; slices.Contains(run.EventIDs, event) {
			found = append(found, *run)
		}
	}
	return found
}

// statuses are the states of runs in the words of the API.
var statuses = map[state.Status]view.Status{
	state.Scheduled: view.Queued, state.Running: view.Running, state.Completed: view.Completed, state.Failed: view.Failed,
	state.Cancelled: view.Cancelled, state.Skipped: view.Skipped,
}

// show is a run that the database does not have.
func (v *View) show(run *history.Run) view.Run {
	_, app, _ := v.registry.Catalog().Executable(run.FunctionID)
	shown := view.Run{
		ID: run.ID, AppID: app, FunctionID: run.FunctionID, TraceID: trace.RunID(run.ID).Trace, QueuedAt: run.QueuedAt, EndedAt: run.EndedAt,
		Status: statuses[run.Status], TriggerIDs: run.EventIDs, BatchID: run.BatchID, Output: run.Output, Original: run.OriginalRunID,
	}
	if run.Cron != "" {
		shown.Cron = &run.Cron
	}
	if run.Status != state.Scheduled {
		shown.StartedAt = run.QueuedAt
	}
	return shown
}

// lay lays what is known live over a run of the database.
func (v *View) lay(run *view.Run) {
	if run.Status.Ended() {
		return
	}
	known := history.Run{ID: run.ID, Status: state.Scheduled}
	if run.Status == view.Running {
		known.Status = state.Running
	}
	v.overlay.overlay(&known)
	run.Status = statuses[known.Status]
	if known.Status.Ended() {
		run.EndedAt, run.Output = known.EndedAt, known.Output
	}
	if run.StartedAt.IsZero() && known.Status != state.Scheduled {
		run.StartedAt, _ = v.overlay.cfg.Engine.Executing(run.ID)
		if run.StartedAt.IsZero() {
			run.StartedAt = run.QueuedAt
		}
	}
}
