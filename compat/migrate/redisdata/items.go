package redisdata

import (
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/function"
)

// queueItems are fields of the hash of queue items. Those of runs, batches and
// debounces were read with them; those that servers make by themselves are counted.
func (s *Side) queueItems(ctx context.Context, fields []field) ([]migrate.Item, error) {
	var items []migrate.Item
	bad := func(f field, reason string) {
		items = append(items, (&migrate.Bad{Key: format.ItemsKey, Member: f.name, Reason: reason, Value: f.value}).Item())
	}
	byKind := map[string]int{}
	var ofRuns []queueItem
	for _, f := range fields {
		i, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: f.name}, f.value)
		if err != nil {
			bad(f, err.Error())
			continue
		}
		i.ID = f.name
		switch kind := i.Data.Kind; kind {
		case format.KindStart, format.KindEdge, format.KindEdgeError, format.KindSleep, format.KindPause:
			ofRuns = append(ofRuns, queueItem{f, i, i.Data.Identifier.RunID})
		case format.KindCancel:
			p, err := format.PayloadOf[format.CancelPayload](format.Place{Key: format.ItemsKey, Member: f.name}, &i)
			if err != nil {
				bad(f, err.Error())
				continue
			}
			run, _ := format.ParseULID(p.TargetID) // what is no run is not there
			ofRuns = append(ofRuns, queueItem{f, i, run})
		case format.KindCron:
			cron, err := cronOf(&i)
			if err != nil {
				bad(f, err.Error())
				continue
			}
			items = append(items, cron.Item())
		case format.KindDebounce, format.KindBatch, format.KindCronSync, format.KindCronHealthCheck, format.KindPromote,
			format.KindFlush, format.KindLatency, format.KindFunctionPaused, format.KindUnpaused:
			byKind[kind]++
		default:
			bad(f, fmt.Sprintf("an item of unknown kind %q", kind))
		}
	}
	for kind, n := range byKind {
		items = append(items, counted(migrate.KindDerived, "queue items of kind "+kind, n))
	}
	more, err := s.itemsOfRuns(ctx, ofRuns)
	return append(items, more...), err
}

// queueItem is an item of a run.
type queueItem struct {
	field
	item format.Item
	run  ulid.ULID
}

// itemsOfRuns were read with their runs, unless these are gone, or have no index
// that leads to the item.
func (s *Side) itemsOfRuns(ctx context.Context, all []queueItem) ([]migrate.Item, error) {
	ids := make([]ulid.ULID, len(all))
	for i := range all {
		ids[i] = all[i].run
	}
	there, err := s.live(ctx, ids)
	if err != nil {
		return nil, err
	}
	known := make([]*redis.FloatCmd, len(all))
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i := range all {
			known[i] = p.ZScore(ctx, format.RunIndexKey(all[i].run), all[i].name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for %d items: %w", len(all), err)
	}
	var items []migrate.Item
	byKind := map[string]int{}
	for i := range all {
		q := &all[i]
		kind := q.item.Data.Kind
		reason := ""
		switch {
		case !there[q.run] && kind == format.KindCancel:
			items = append(items, counted(migrate.KindTransient, "timeouts of runs that have ended", 1))
		case !there[q.run]:
			reason = fmt.Sprintf("a job of run %s, which is not there", q.run)
		case kind == format.KindCancel && !slices.Contains(timeoutIDs(&format.Identifier{FunctionID: q.item.FunctionID, RunID: q.run}), q.name):
			reason = fmt.Sprintf("a longer timeout of run %s than it had at first: the function's configuration says it anew", q.run)
		case kind != format.KindCancel && missing(known[i]):
			reason = fmt.Sprintf("a job that run %s does not know", q.run)
		default:
			byKind[kind]++
		}
		if reason != "" {
			items = append(items, (&migrate.Bad{Key: format.ItemsKey, Member: q.name, Reason: reason, Value: q.value}).Item())
		}
	}
	for kind, n := range byKind {
		items = append(items, counted(migrate.KindDerived, "queue items of kind "+kind, n))
	}
	return items, nil
}

// cronOf reads the next tick of a schedule.
func cronOf(i *format.Item) (*migrate.Cron, error) {
	p, err := format.PayloadOf[format.CronPayload](format.Place{Key: format.ItemsKey, Member: i.ID}, i)
	if err != nil {
		return nil, err
	}
	return &migrate.Cron{
		FunctionID: p.FunctionID, Version: p.FunctionVersion, AppID: p.AppID, Expr: p.Expression, Next: int64(p.ID.Time()),
	}, nil
}

// crons are the schedules that are there, by what names them.
func (s *Side) crons(ctx context.Context) (map[migrate.ID]*migrate.Cron, error) {
	queue := format.QueueCron(s.Environment)
	ids, err := s.Redis.ZRange(ctx, format.ReadyKey(queue), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the schedules: %w", err)
	}
	leased, err := s.Redis.ZRange(ctx, format.ScavengerKey(queue), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the schedules: %w", err)
	}
	found := map[migrate.ID]*migrate.Cron{}
	if ids = append(ids, leased...); len(ids) == 0 {
		return found, nil
	}
	texts, err := s.Redis.HMGet(ctx, format.ItemsKey, ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("read the schedules: %w", err)
	}
	for i, text := range texts {
		s, _ := text.(string)
		item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: ids[i]}, s)
		if err != nil || item.Data.Kind != format.KindCron {
			continue // reported when items are read
		}
		cron, err := cronOf(&item)
		if err != nil {
			continue
		}
		if before := found[cron.Item().ID]; before == nil || before.Version <= cron.Version {
			found[cron.Item().ID] = cron
		}
	}
	return found, nil
}

// putCrons writes the next ticks of schedules. Where there is one, the target's
// stays.
func (s *Side) putCrons(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	there, err := s.crons(ctx)
	if err != nil {
		return nil, err
	}
	outcomes := make([]migrate.Outcome, len(items))
	for i, item := range items {
		c := item.Cron
		if have := there[item.ID]; have != nil && have.Version >= c.Version {
			if outcomes[i].Result = migrate.There; have.Next != c.Next {
				outcomes[i] = migrate.Outcome{Result: migrate.WentOn, Reason: "the target has another next tick"}
			}
			continue
		}
		tick := ulid.Time(uint64(c.Next)).UTC()
		id := function.CronJob(tick, c.Expr, c.FunctionID, c.Version)
		job := s.systemItem(format.KindCron, format.QueueCron(s.Environment), c.FunctionID, c.AppID, format.CronPayload{
			ID: ulid.MustNew(uint64(c.Next), ulid.DefaultEntropy()), AccountID: s.Account, EnvironmentID: s.Environment, AppID: c.AppID,
			FunctionID: c.FunctionID, FunctionVersion: c.Version, Expression: c.Expr, JobID: id, Op: format.CronProcess,
		})
		job.ID, job.At, job.Data.Identifier.Version = id, c.Next, c.Version
		if err := s.restore(ctx, job); err != nil {
			return nil, fmt.Errorf("write a schedule of function %s: %w", c.FunctionID, err)
		}
	}
	return outcomes, nil
}
