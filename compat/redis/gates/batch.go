package gates

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

var (
	//go:embed lua/append.lua
	textAppend string
	//go:embed lua/start.lua
	textStart string

	scriptAppend = redis.NewScript(textAppend)
	scriptStart  = redis.NewScript(textStart)
)

// maxBatchBytes of events make a batch full (flow-control §12).
const maxBatchBytes = 10 << 20

// What becomes of an event that is added to a batch.
const (
	appendedFirst = "new"
	appended      = "append"
	appendedLast  = "full"
	appendedTwice = "itemexists"
)

// batches tells whether the start's event is to be collected with others. One
// that does not fit the condition is no part of any batch.
func (g *Gates) batches(s *starting) bool {
	cfg := s.EventBatch
	if cfg == nil || cfg.MaxSize <= 1 || s.Cron != "" {
		return false
	}
	fits, err := s.in.Holds(cfg.If)
	g.complain(s.Function, cfg.If, err)
	return fits
}

// collect puts the event into the batch of its key, whose job is due when its time
// is over, or at once when it is full.
func (g *Gates) collect(ctx context.Context, s *starting) error {
	cfg := s.EventBatch
	wait, err := cfg.Wait()
	g.complain(s.Function, cfg.Timeout, err) // registration refuses it
	pointer := g.batchPointer(s)
	text, err := format.Encode(format.Batched{
		AccountID: g.Node.Account, EnvironmentID: g.Node.Environment, AppID: s.App, FunctionID: s.ID, FunctionVersion: s.Version,
		EventID: s.EventIDs[0], Event: stored(s.Events[0]),
	})
	if err != nil {
		return err
	}
	keys := []string{pointer, format.BatchSeenKey(s.ID, s.EventIDs[0])}
	reply, err := scriptAppend.Run(ctx, g.Redis, keys, text, ulid.Make().String(), format.BatchPrefix(s.ID),
		cfg.MaxSize, maxBatchBytes).StringSlice()
	if err != nil {
		return fmt.Errorf("add event %s to a batch: %w", s.EventIDs[0], err)
	}
	batch, err := ulid.ParseStrict(reply[1])
	if err != nil {
		return nil // it was in one that has started
	}
	now := time.Now()
	switch reply[0] {
	case appendedFirst, appendedTwice:
		return g.expectBatch(ctx, s, batch, pointer, now, now.Add(wait))
	case appendedLast:
		return g.expectBatch(ctx, s, batch, pointer, now, now)
	}
	return nil
}

// batchPointer is the name of what leads to the batch that collects for an event.
func (g *Gates) batchPointer(s *starting) string {
	if s.EventBatch == nil || s.EventBatch.Key == "" {
		return format.BatchPointerKey(s.ID)
	}
	return format.BatchKeyPointerKey(s.ID, g.keyText(s, s.EventBatch.Key))
}

// expectBatch sees to it that a batch is started then, or before.
func (g *Gates) expectBatch(ctx context.Context, s *starting, batch ulid.ULID, pointer string, now, at time.Time) error {
	item := g.batchJob(s, batch, pointer, at.UnixMilli())
	for {
		enqueued, err := g.jobs.Enqueue(ctx, now, item)
		if err != nil {
			return err
		}
		if enqueued[0] == jobs.EnqueuedNow {
			break
		}
		there, err := g.jobs.Get(ctx, item.ID)
		if errors.Is(err, jobs.ErrGone) || err == nil && (there.Item.At <= item.At || format.Leased(there.Item.LeaseID, now.UnixMilli())) {
			break // it has started, or will in time
		}
		if err == nil {
			err = g.jobs.Move(ctx, there, now, item.At)
		}
		if err == nil {
			break
		}
		if !jobs.LostRace(err) {
			return err
		}
	}
	g.Node.Expect(item.Partition(), at)
	return nil
}

// batchJob is the job that starts a batch.
func (g *Gates) batchJob(s *starting, batch ulid.ULID, pointer string, at int64) *format.Item {
	payload, _ := format.Raw(format.BatchPayload{ // has no raw JSON, which alone could fail
		BatchID: batch, Pointer: pointer, AccountID: g.Node.Account, EnvironmentID: g.Node.Environment, AppID: s.App,
		FunctionID: s.ID, FunctionVersion: s.Version,
	})
	item := g.item(format.KindBatch, format.QueueBatch, s.ID, s.App, payload)
	item.ID, item.At = function.BatchJob(g.Node.Environment, batch.String()), at
	item.Data.Identifier.Version, item.Data.Identifier.Key = s.Version, "batchschedule:"+batch.String()
	return item
}

// StartBatch starts one run with all events of a batch. A batch whose start broke
// off is started again: nobody else has its job.
func (g *Gates) StartBatch(ctx context.Context, p *format.BatchPayload) error {
	return g.startBatch(ctx, p, time.Now().UnixMilli())
}

// startBatch is StartBatch for one that is due then, in milliseconds: whoever goes on
// with it collects until then.
func (g *Gates) startBatch(ctx context.Context, p *format.BatchPayload, due int64) error {
	list, metadata := format.BatchKey(p.FunctionID, p.BatchID), format.BatchMetadataKey(p.FunctionID, p.BatchID)
	code, err := scriptStart.Run(ctx, g.Redis, []string{p.Pointer, metadata}, p.BatchID.String()).Int()
	if err != nil {
		return fmt.Errorf("start batch %s: %w", p.BatchID, err)
	}
	var events []*format.Batched
	if code >= 0 {
		if events, err = g.eventsOf(ctx, list); err != nil {
			return fmt.Errorf("start batch %s: %w", p.BatchID, err)
		}
	}
	if len(events) > 0 {
		s, err := batchStart(p, events)
		if err != nil {
			return err
		}
		kept := &state.BatchPut{Batch: state.Batch{ID: p.BatchID, Due: due, Start: *s}}
		if err := g.passKept(ctx, s, kept, func(s *starting) (Result, error) { return g.create(ctx, s) }); err != nil {
			return fmt.Errorf("start batch %s: %w", p.BatchID, err)
		}
	}
	if err := g.Redis.Del(ctx, list, metadata).Err(); err != nil {
		return fmt.Errorf("delete batch %s: %w", p.BatchID, err)
	}
	return nil
}

// eventsOf reads the events of a batch.
func (g *Gates) eventsOf(ctx context.Context, list string) ([]*format.Batched, error) {
	texts, err := g.Redis.LRange(ctx, list, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	events := make([]*format.Batched, len(texts))
	for i, text := range texts {
		e, err := format.Decode[format.Batched](format.Place{Key: list, Member: strconv.Itoa(i)}, text)
		if err != nil {
			return nil, errors.Join(err, errUnfit)
		}
		events[i] = &e
	}
	return events, nil
}

// batchStart is the start of a run with the events of a batch.
func batchStart(p *format.BatchPayload, events []*format.Batched) (*state.Start, error) {
	s := &state.Start{
		FunctionID: p.FunctionID, BatchID: p.BatchID,
		Idempotency: function.IdempotencyKey(p.FunctionID, p.FunctionID.String()+"-"+p.BatchID.String()),
	}
	invoked := false
	for _, e := range events {
		event, err := jcs.Canonicalize(e.Event)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("event %s of batch %s: %w", e.EventID, p.BatchID, err), errUnfit)
		}
		about := readEvent(event)
		if s.Trigger == "" {
			s.Trigger = about.Name
		}
		s.Events, s.EventIDs = append(s.Events, event), append(s.EventIDs, e.EventID)
		s.Correlations = append(s.Correlations, about.correlation())
		invoked = invoked || about.correlation() != ""
	}
	if !invoked {
		s.Correlations = nil
	}
	return s, nil
}
