package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// A run that its app began is kept as the original keeps it, with the request's
// address in its context. What that has no place for is in a field of its own. Beside
// the original, it has a job from the beginning, which calls the app should it fall
// silent (state.Run.PatienceJob).

// ErrRunExists is a run that cannot be begun: another one has its key, or its id.
var ErrRunExists = errors.New("run already exists")

// Begin keeps a run that its app has begun. It returns the run as it is kept, nil
// for one that has ended, and tells whether it was there before: beginning again is
// harmless, and completes what was broken off. It fails with ErrRunExists.
func (n *Node) Begin(ctx context.Context, b *state.Beginning) (_ *state.Run, existed bool, err error) {
	run := b.Run
	run.Idempotency = function.IdempotencyKey(run.FunctionID, cmp.Or(b.Claim, run.ID.String()))
	if taken, err := n.idTaken(ctx, &run); err != nil || taken {
		return nil, taken, cmp.Or(err, ErrRunExists)
	}
	claim, err := n.runs.Claim(ctx, n.Account, run.Idempotency, run.ID)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("begin run %s: %w", run.ID, err)
	case claim.RunID != run.ID:
		return nil, false, ErrRunExists
	case claim.Ended:
		return nil, true, nil
	}
	if existed, err = n.keepRun(ctx, &run); err != nil {
		return nil, false, fmt.Errorf("begin run %s: %w", run.ID, err)
	}
	if existed {
		s, err := n.stored(ctx, run.ID)
		if err != nil {
			return nil, true, fmt.Errorf("begin run %s: %w", run.ID, err)
		}
		return s.run, true, nil
	}
	n.mu.Lock()
	n.reports[run.ID] = n.recent.last
	n.mu.Unlock()
	if n.Teller != nil && !n.told.know(run.ID) {
		n.tell(ctx, time.Now(), &state.RunPut{Run: run})
	}
	return &run, false, nil
}

// idTaken tells whether a run of another function has the id.
func (n *Node) idTaken(ctx context.Context, run *state.Run) (bool, error) {
	m, err := n.runs.Metadata(ctx, run.ID)
	if errors.Is(err, format.ErrNoRun) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("begin run %s: %w", run.ID, err)
	}
	return m.ID.FunctionID != run.FunctionID, nil
}

// keepRun makes the state of a run, then its job, which is named anew by the run's
// key; what is there stays.
func (n *Node) keepRun(ctx context.Context, run *state.Run) (existed bool, err error) {
	id := &format.Identifier{
		RunID: run.ID, FunctionID: run.FunctionID, Version: run.FunctionVersion, EventID: run.EventIDs[0], EventIDs: run.EventIDs,
		Key: run.Idempotency, AccountID: n.Account, EnvironmentID: n.Environment, AppID: run.Endpoint.AppID, Priority: new(int64),
	}
	events, names, err := storedEvents(run.Events, run.EventIDs)
	if err != nil {
		return false, err
	}
	debounced := false
	existed, err = n.runs.Create(ctx, &runs.New{Events: events, Metadata: format.Metadata{
		ID: *id, Status: format.StatusScheduled, Version: 1, RequestVersion: run.Version, StartedAt: run.StartedAt,
		SpanID: SpanOf(run.ID), Endpoint: EndpointOf(run),
		Context: format.Context{FunctionSlug: run.Slug, Debounce: &debounced, EventMap: names, URL: AddressOf(run)},
	}})
	if err != nil {
		return false, err
	}
	job := run.Jobs[0]
	job.ID = run.PatienceJob()
	run.Jobs = []state.Job{job}
	item, err := ItemOf(id, job, nil)
	if err != nil {
		return existed, err
	}
	batch := n.jobs.Batch(time.Now())
	if existed {
		batch.EnqueueAlone(item)
	} else {
		batch.Enqueue(item)
	}
	_, err = batch.Exec(ctx)
	n.expectIn(run.FunctionID.String(), job)
	return existed, err
}

// EndpointOf is what is kept of a run that its app began, nil for another.
func EndpointOf(run *state.Run) *format.Endpoint {
	if e := run.Endpoint; e != nil {
		return &format.Endpoint{SDK: e.SDK, Attempts: e.Attempts, AsyncAt: e.AsyncAt}
	}
	return nil
}

// AddressOf is where the request went that began a run, "" for a run that no request
// began.
func AddressOf(run *state.Run) string {
	var event struct {
		Data json.RawMessage `json:"data"`
	}
	if run.Endpoint == nil || len(run.Events) == 0 || json.Unmarshal(run.Events[0], &event) != nil {
		return ""
	}
	request, err := function.ParseEndpointRequest(event.Data)
	if err != nil {
		return ""
	}
	address, _ := request.URL()
	return address
}

// appOf is the app of a run's function.
func (n *Node) appOf(run *state.Run) uuid.UUID {
	if run.Endpoint != nil {
		return run.Endpoint.AppID // its function need not be registered
	}
	return n.Functions.App(run.FunctionID)
}

// begunBy is what a run has that its app began, nil for another. One that the
// original began goes on by itself if it has something to go on with.
func begunBy(m *format.Metadata, called bool, attempts func(uuid.UUID) int) *state.Endpoint {
	switch {
	case m.Endpoint != nil:
		return &state.Endpoint{AppID: m.ID.AppID, SDK: m.Endpoint.SDK, Attempts: m.Endpoint.Attempts, AsyncAt: m.Endpoint.AsyncAt}
	case m.Context.URL == "":
		return nil
	}
	e := &state.Endpoint{AppID: m.ID.AppID, Attempts: attempts(m.ID.FunctionID)}
	if called {
		e.AsyncAt = max(m.StartedAt, 1)
	}
	return e
}

// OfEndpoint tells whether a function is a durable endpoint, which need not be
// registered to be executed: all of its runs are such.
func (n *Node) OfEndpoint(ctx context.Context, fn uuid.UUID) bool {
	first, err := n.Redis.ZRange(ctx, format.ReadyKey(fn.String()), 0, 0).Result()
	if err != nil || len(first) == 0 {
		return false
	}
	e, err := n.jobs.Get(ctx, first[0])
	if err != nil {
		return false
	}
	m, err := n.runs.Metadata(ctx, e.Item.Data.Identifier.RunID)
	return err == nil && (m.Endpoint != nil || m.Context.URL != "")
}

// storeEndpoint lets a run that its app began go on by itself, when the transition
// says so or is of a call that the executor made; until then each report of the app
// postpones that.
func (c *commit) storeEndpoint(ctx context.Context) error {
	if !c.run.Sync() || c.Transition.Finish != nil {
		return nil
	}
	if !c.Transition.Detach && c.Job == "" {
		return c.postpone(ctx)
	}
	c.detached = true
	e := EndpointOf(c.run)
	e.AsyncAt = c.now.UnixMilli()
	exists, err := c.runs.SaveEndpoint(ctx, c.RunID, e)
	if err == nil && !exists {
		err = state.ErrRunNotFound
	}
	return err
}

// postpone makes the app be called later. A run that the original began gets the job
// for it.
func (c *commit) postpone(ctx context.Context) error {
	if c.Transition.Patience == 0 {
		return nil
	}
	var err error
	switch e := c.patience(); {
	case e == nil:
		job := state.Job{ID: c.run.PatienceJob(), Kind: state.JobEdge, Due: c.Transition.Patience, MaxAttempts: c.run.Endpoint.Attempts}
		var item *format.Item
		if item, err = ItemOf(&c.Metadata.ID, job, nil); err == nil {
			_, err = c.jobs.Enqueue(ctx, c.now, item)
		}
	case e.Item.LeaseID == nil && e.Item.At < c.Transition.Patience:
		err = c.jobs.Move(ctx, e, c.now, c.Transition.Patience)
	}
	return ignoreRace(err) // with who calls the app
}

// patience is the job that calls the app of a run that is silent, nil for none.
func (c *commit) patience() *jobs.Entry {
	id := c.run.PatienceJob()
	for _, e := range c.items {
		if e.Item.ID == id {
			return e
		}
	}
	return nil
}

// dropPatience takes the job away that has no purpose any more.
func (c *commit) dropPatience(batch *jobs.Batch) {
	if e := c.patience(); c.detached && e != nil && e.Item.ID != c.Job {
		batch.Drop(e)
	}
}
