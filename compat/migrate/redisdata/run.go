package redisdata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/runs"
	"jetstep/function"
	"jetstep/state"
)

// Runs are read a few at a time: as many as have that many bytes of state.
const (
	runsAtOnce  = 256
	bytesAtOnce = 8 << 20
)

// raw is a run as a Redis keeps it.
type raw struct {
	kept      *runs.Run
	entries   []*jobs.Entry
	singleton string          // name of the lock that it holds
	displaced map[string]bool // steps whose signal is another run's
}

// eachRun reads runs and shows them in groups of bounded size.
func (s *Side) eachRun(ctx context.Context, keys []key, show func([]migrate.Item) error) error {
	sizes := make([]*redis.StringCmd, len(keys))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, k := range keys {
			sizes[i] = p.HGet(ctx, k.name, format.FieldStateSize)
		}
	})
	if err != nil {
		return fmt.Errorf("read the sizes of %d runs: %w", len(keys), err)
	}
	var group []ulid.ULID
	bytes := 0
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		found, err := s.readRuns(ctx, group)
		if err != nil {
			return err
		}
		items := make([]migrate.Item, len(found))
		for i := range found {
			items[i] = *found[i]
		}
		group, bytes = group[:0], 0
		return show(items)
	}
	for i, k := range keys {
		group = append(group, ulid.MustParse(k.parts["run"])) // the pattern says that it is one
		size, _ := sizes[i].Int()
		if bytes += size; bytes >= bytesAtOnce || len(group) >= runsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// readRuns reads runs; one that is not there, or cannot be read, is bad.
func (s *Side) readRuns(ctx context.Context, ids []ulid.ULID) ([]*migrate.Item, error) {
	loaded, err := s.runs.LoadMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	timeouts := make([][]string, len(ids))
	for i, l := range loaded {
		if l.Err == nil {
			timeouts[i] = timeoutIDs(&l.Run.Metadata.ID)
		}
	}
	entries, damaged, err := s.jobs.OfRuns(ctx, ids, timeouts)
	if err != nil {
		return nil, err
	}
	locks := make([]*redis.StringCmd, len(ids))
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, id := range ids {
			locks[i] = p.Get(ctx, format.SingletonRunKey(id))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the singletons of %d runs: %w", len(ids), err)
	}
	displaced, err := s.displaced(ctx, loaded)
	if err != nil {
		return nil, err
	}
	items := make([]*migrate.Item, len(ids))
	for i, id := range ids {
		var item migrate.Item
		err := cmp.Or(loaded[i].Err, damaged[i])
		var run *migrate.Run
		if err == nil {
			run, err = runOf(&raw{loaded[i].Run, entries[i], locks[i].Val(), displaced[id]})
		}
		if err != nil {
			item = badRun(id, err)
		} else {
			item = run.Item()
		}
		items[i] = &item
	}
	return items, nil
}

// displaced finds the waits for signals that another run has taken over.
func (s *Side) displaced(ctx context.Context, loaded []runs.Loaded) (map[ulid.ULID]map[string]bool, error) {
	var pauses []*format.Pause
	for _, l := range loaded {
		if l.Err != nil {
			continue
		}
		for _, p := range l.Run.Pauses {
			if p.Signal != "" {
				pauses = append(pauses, p)
			}
		}
	}
	holders := make([]*redis.StringCmd, len(pauses))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, pause := range pauses {
			holders[i] = p.HGet(ctx, format.SignalsKey(pause.EnvironmentID), pause.Signal)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for %d signals: %w", len(pauses), err)
	}
	found := map[ulid.ULID]map[string]bool{}
	for i, pause := range pauses {
		if holders[i].Val() == pause.ID.String() {
			continue
		}
		if found[pause.Run.RunID] == nil {
			found[pause.Run.RunID] = map[string]bool{}
		}
		found[pause.Run.RunID][pause.DataKey] = true
	}
	return found, nil
}

// badRun is a run that cannot be read: whatever is wrong with it.
func badRun(id ulid.ULID, err error) migrate.Item {
	bad := &migrate.Bad{Key: format.MetadataKey(id), Reason: err.Error()}
	var value *format.ValueError
	if errors.As(err, &value) {
		bad.Member = value.Member
		if value.Key != bad.Key {
			bad.Member = value.Place.String()
		}
	}
	return bad.Item()
}

// timeoutIDs are the items that look whether a run has started, and ended, in time
// (redis-queue §6.3).
func timeoutIDs(id *format.Identifier) []string {
	key := function.RunKey(id.FunctionID, function.HashBytes(id.FunctionID[:])+":"+function.Hash(id.RunID.String()))
	return []string{function.StartTimeoutJob(key), function.FinishTimeoutJob(key)}
}

// byFunction is how often a start may be tried: its item does not say.
func byFunction(uuid.UUID) int { return 0 }

// runOf is a run in the neutral form.
func runOf(r *raw) (*migrate.Run, error) {
	timeouts, ofRun := splitTimeouts(r)
	run, damaged, err := engine.RunOf(r.kept, ofRun, byFunction)
	if err = cmp.Or(err, damaged); err != nil {
		return nil, err
	}
	m := &migrate.Run{State: *run, AppID: r.kept.Metadata.ID.AppID, Timeouts: timeouts, Raw: r}
	m.State.Waits, m.State.Cancels = nil, nil
	if err := addPauses(m, r, ofRun); err != nil {
		return nil, err
	}
	addLimits(m, r, ofRun)
	slices.SortFunc(m.State.Jobs, func(a, b state.Job) int { return cmp.Compare(a.ID, b.ID) })
	return m, nil
}

func splitTimeouts(r *raw) (timeouts []migrate.Timeout, ofRun []*jobs.Entry) {
	ids := timeoutIDs(&r.kept.Metadata.ID)
	for _, e := range r.entries {
		if e.Item.Data.Kind == format.KindCancel {
			timeouts = append(timeouts, migrate.Timeout{Finish: e.Item.ID == ids[1], At: e.Item.At})
			continue
		}
		ofRun = append(ofRun, e)
	}
	return timeouts, ofRun
}

// addPauses adds what the run waits for and what cancels it. Of a wait that has
// outlived its pause the item of its timeout still has it.
func addPauses(m *migrate.Run, r *raw, entries []*jobs.Entry) error {
	pauses := slices.Clone(r.kept.Pauses)
	for _, e := range entries {
		if e.Item.Data.Kind != format.KindPause {
			continue
		}
		p, err := format.PayloadOf[format.PausePayload](format.Place{Key: format.ItemsKey, Member: e.Item.ID}, &e.Item)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(pauses, func(o *format.Pause) bool { return o.DataKey == p.Pause.DataKey && !o.Cancel }) {
			pauses = append(pauses, &p.Pause)
		}
	}
	slices.SortFunc(pauses, func(a, b *format.Pause) int {
		return cmp.Or(cmp.Compare(a.DataKey, b.DataKey), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Expression, b.Expression))
	})
	for _, p := range pauses {
		w := migrate.Wait{If: p.Expression, Expires: p.Expires, CreatedAt: p.CreatedAt.UnixMilli()}
		w.Ignored, _ = ulid.ParseStrict(p.Trigger) // what is none is none
		wait, ok := engine.WaitOf(p)
		if !ok {
			if p.Expires <= time.Now().UnixMilli() {
				continue // it cancels no more
			}
			m.State.Cancels, m.Cancels = append(m.State.Cancels, p.Event), append(m.Cancels, w)
			continue
		}
		w.Displaced = r.displaced[wait.Step]
		if wait.Kind != state.WaitEvent {
			w.If = "" // an invoke's only says whose end it is
		}
		m.State.Waits, m.Waits = append(m.State.Waits, wait), append(m.Waits, w)
	}
	return nil
}

// addLimits adds what flow control knows of the run.
func addLimits(m *migrate.Run, r *raw, entries []*jobs.Entry) {
	id := &r.kept.Metadata.ID
	flow := &state.Flow{Admitted: m.State.StartedAt != 0}
	if id.BatchID != nil {
		flow.BatchID = *id.BatchID
	}
	concurrency, semaphores := id.Concurrency, id.Semaphores
	if id.Priority != nil {
		flow.Priority = int(*id.Priority)
	}
	for _, e := range entries {
		if e.Item.Data.Kind != format.KindStart {
			continue
		}
		if len(concurrency) == 0 {
			concurrency = e.Item.Data.Concurrency
		}
		if len(semaphores) == 0 {
			semaphores = e.Item.Data.Semaphores
		}
		if t := e.Item.Data.Throttle; t != nil {
			m.Throttle = throttleOf(t)
			flow.Keys = append(flow.Keys, state.FlowKey{Expr: m.Throttle.Expr, Value: m.Throttle.Value})
		}
	}
	for _, c := range concurrency {
		k, ok := keyOf(c)
		if !ok {
			continue
		}
		m.Keys = append(m.Keys, k)
		flow.Keys = append(flow.Keys, state.FlowKey{Expr: k.Expr, Value: k.Value})
	}
	for _, h := range semaphores {
		m.Semaphores = append(m.Semaphores, migrate.Held{ID: h.ID, Value: h.Value, Weight: h.Weight, Manual: h.Release == format.ReleaseManual})
	}
	m.Singleton = strings.TrimPrefix(r.singleton, format.SingletonKey(""))
	m.State.Flow = flow
}

// keyOf reads the value of a limit's key: "f:<id>:<hash>".
func keyOf(c format.ConcurrencyKey) (migrate.Key, bool) {
	parts := strings.SplitN(c.Key, ":", 3)
	if len(parts) != 3 {
		return migrate.Key{}, false
	}
	scoped, err := format.ParseUUID(parts[1])
	return migrate.Key{Scope: parts[0], Scoped: scoped, Expr: c.Hash, Value: parts[2], Limit: c.Limit}, err == nil
}

// throttleOf reads a start's throttle, whose key begins with the function's hash
// and whose expression, if there is none, is that of nothing.
func throttleOf(t *format.Throttle) *migrate.Throttle {
	m := &migrate.Throttle{Expr: t.ExpressionHash, Limit: t.Limit, Burst: t.Burst, Period: t.Period}
	if m.Expr == engine.HashOfNone {
		m.Expr = ""
	}
	if _, value, ok := strings.Cut(t.Key, "-"); ok {
		m.Value = value
	}
	return m
}
