package jobs

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

//go:embed lua/*.lua
var sources embed.FS

// script is made of embedded ones; they are there, or nothing is.
func script(names ...string) *redis.Script {
	text := ""
	for _, name := range names {
		part, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err)
		}
		text += string(part)
	}
	return redis.NewScript(text)
}

var (
	scriptEnqueue          = script("pointers", "enqueue")
	scriptLeasePartition   = script("pointers", "lease_partition")
	scriptRequeuePartition = script("pointers", "requeue_partition")
	scriptLeaseItem        = script("lease_item")
	scriptDequeue          = script("pointers", "dequeue")
	scriptRequeue          = script("pointers", "requeue")
	scriptRemove           = script("remove")
	scriptTakeRole         = script("take_role")
)

// Queue is the job queue in one Redis. It is safe for concurrent use.
type Queue struct{ redis redis.UniversalClient }

// NewQueue is the queue in that Redis.
func NewQueue(client redis.UniversalClient) *Queue { return &Queue{redis: client} }

// The answers of operations on an item that is not as it was read.
var (
	ErrGone    = errors.New("the item is not there any more")
	ErrChanged = errors.New("the item has changed since it was read")
)

// Entry is an item as it was read.
type Entry struct {
	Item format.Item
	text string
	// score is what it has among the ready ones.
	score int64
}

// pointerKeys are what lua/pointers.lua wants first, and the account's name
// there, "" for none.
func pointerKeys(account uuid.UUID) (keys []string, name string) {
	keys = []string{
		format.ItemsKey, format.PartitionsKey, format.PointersKey, format.AccountPointersKey(account), format.AccountsKey,
	}
	if account != uuid.Nil {
		name = account.String()
	}
	return keys, name
}

// Enqueued is what became of an item that was to be enqueued.
type Enqueued int

// The outcomes of enqueuing.
const (
	EnqueuedNow       Enqueued = 0
	EnqueuedBefore    Enqueued = 1 // it is there, or was done within the last hour
	EnqueuedSingleton Enqueued = 2 // another run has its singleton's key
)

// Enqueue enqueues items, whose ids and data are set, to be executed when their
// At says. All are tried in one round trip, each atomically.
func (q *Queue) Enqueue(ctx context.Context, now time.Time, items ...*format.Item) ([]Enqueued, error) {
	if len(items) == 0 {
		return nil, nil
	}
	commands := make([]*redis.Cmd, len(items))
	if err := scriptEnqueue.Load(ctx, q.redis).Err(); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	pipe := q.redis.Pipeline()
	for i := range items {
		item := *items[i]
		score, pointer := schedule(&item, now.UnixMilli())
		if err := item.Check(); err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		keys, args, err := enqueueArguments(&item, score, pointer, now)
		if err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		commands[i] = scriptEnqueue.EvalSha(ctx, pipe, keys, args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	results := make([]Enqueued, len(items))
	for i, command := range commands {
		code, err := command.Int()
		if err != nil {
			return nil, fmt.Errorf("enqueue %s: %w", items[i].ID, err)
		}
		results[i] = Enqueued(code)
	}
	return results, nil
}

func enqueueArguments(item *format.Item, score, pointer int64, now time.Time) (keys []string, args []any, err error) {
	text, err := format.Encode(item)
	if err != nil {
		return nil, nil, err
	}
	fresh, err := format.Encode(format.PartitionOf(item))
	if err != nil {
		return nil, nil, err
	}
	run := item.Data.Identifier.RunID
	keys, account := pointerKeys(item.Data.Identifier.AccountID)
	singleton, has := format.ItemsKey, "0"
	if item.Data.Singleton != nil && item.Data.Singleton.Key != "" {
		singleton, has = format.SingletonKey(item.Data.Singleton.Key), "1"
	}
	keys = append(keys, format.SeenKey(item.ID), format.ReadyKey(item.Partition()), singleton, format.SingletonRunKey(run))
	keys = append(keys, format.IndexKeys(item)...)
	return keys, []any{
		item.ID, text, score, pointer, now.UnixMilli(), item.Partition(), fresh, account, run.String(), has,
	}, nil
}

// Dequeue takes an item away that is as it was read. It is remembered, so that
// it is not enqueued again soon.
func (q *Queue) Dequeue(ctx context.Context, e *Entry) error { return q.dequeue(ctx, e, e.text) }

// Drop takes an item away whatever has become of it.
func (q *Queue) Drop(ctx context.Context, e *Entry) error { return q.dequeue(ctx, e, "") }

func (q *Queue) dequeue(ctx context.Context, e *Entry, text string) error {
	item := &e.Item
	fresh, err := format.Encode(format.PartitionOf(item))
	if err != nil {
		return err
	}
	seconds := int64(format.SeenTTL)
	if item.Idempotency > 0 {
		seconds = item.Idempotency / int64(time.Second)
	}
	indexes := format.IndexKeys(item)
	ofRun := "0"
	if len(indexes) > 0 {
		ofRun = "1"
	}
	run := item.Data.Identifier.RunID
	keys, account := pointerKeys(item.Data.Identifier.AccountID)
	keys = append(keys, format.SeenKey(item.ID), format.ReadyKey(item.Partition()), format.ScavengerKey(item.Partition()),
		format.LeasedKey, format.PeekKey(item.ID), format.SingletonRunKey(run))
	code, err := scriptDequeue.Run(ctx, q.redis, append(keys, indexes...),
		item.ID, text, item.Partition(), account, seconds, fresh, run.String(), ofRun).Int()
	return outcome("dequeue", item.ID, code, err)
}

// outcome is the error of an operation on an item that answers 0, 1 for an item
// that is gone, and 2 for one that has changed.
func outcome(what, id string, code int, err error) error {
	switch {
	case err != nil:
	case code == 1 || code == -1:
		err = ErrGone
	case code == 2 || code == -2:
		err = ErrChanged
	default:
		return nil
	}
	return fmt.Errorf("%s item %s: %w", what, id, err)
}

// Requeue puts an item back that is as it was read, as the change makes it, to
// be executed when its At says then; but not before now. Its lease ends and its
// generation counts on (redis-queue §9.8).
func (q *Queue) Requeue(ctx context.Context, e *Entry, now time.Time, change func(*format.Item)) (*Entry, error) {
	ms := now.UnixMilli()
	return q.putBack(ctx, e, now, 0, func(i *format.Item) {
		i.Generation++
		change(i)
		i.At = max(i.At, ms)
		i.WallTime, i.EnqueuedAt = i.At, ms
		i.RefilledFrom, i.RefilledAt = "", 0
	})
}

// Replace makes another job of an item that is as it was read, under the same
// id, as if it had just been enqueued: a sleep goes on as the call after it.
func (q *Queue) Replace(ctx context.Context, e *Entry, now time.Time, next *format.Item) (*Entry, error) {
	item := *next
	score, _ := schedule(&item, now.UnixMilli())
	if err := item.Check(); err != nil {
		return nil, err
	}
	return q.putBack(ctx, e, now, score, func(i *format.Item) { *i = item })
}

// Release puts an item back that is leased with that lease, as if it had not been.
func (q *Queue) Release(ctx context.Context, e *Entry, now time.Time) (*Entry, error) {
	score := e.score
	if score == 0 {
		score = e.Item.At
	}
	return q.putBack(ctx, e, now, score, func(*format.Item) {})
}

// putBack makes an item ready with a score, 0 for that of its time.
func (q *Queue) putBack(ctx context.Context, e *Entry, now time.Time, score int64, change func(*format.Item)) (*Entry, error) {
	next := *e
	next.Item.LeaseID, next.Item.EarliestPeek = nil, 0
	change(&next.Item)
	if next.score = score; score == 0 {
		next.score = next.Item.At
	}
	var err error
	if next.text, err = format.Encode(next.Item); err != nil {
		return nil, err
	}
	fresh, err := format.Encode(format.PartitionOf(&next.Item))
	if err != nil {
		return nil, err
	}
	partition, leave := e.Item.Partition(), format.IndexKeys(&e.Item)
	keys, account := pointerKeys(e.Item.Data.Identifier.AccountID)
	keys = append(keys, format.ReadyKey(partition), format.ScavengerKey(partition), format.LeasedKey, format.PeekKey(e.Item.ID))
	keys = append(append(keys, leave...), format.IndexKeys(&next.Item)...)
	code, err := scriptRequeue.Run(ctx, q.redis, keys, e.Item.ID, e.text, next.text, next.score, now.UnixMilli(),
		partition, account, fresh, len(leave)).Int()
	if err := outcome("requeue", e.Item.ID, code, err); err != nil {
		return nil, err
	}
	return &next, nil
}

// Get reads an item; ErrGone when it is not there.
func (q *Queue) Get(ctx context.Context, id string) (*Entry, error) {
	entries, err := q.read(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if entries[0] == nil {
		return nil, fmt.Errorf("read item %s: %w", id, ErrGone)
	}
	return entries[0], nil
}

// OfRun reads the items of a run, ready or leased. Those that cannot be read are
// the error, beside the others.
func (q *Queue) OfRun(ctx context.Context, run ulid.ULID) ([]*Entry, error) {
	ids, err := q.redis.ZRangeWithScores(ctx, format.RunIndexKey(run), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list items of run %s: %w", run, err)
	}
	names := make([]string, len(ids))
	for i, z := range ids {
		names[i] = z.Member.(string)
	}
	entries, err := q.read(ctx, names)
	var there []*Entry
	for i, e := range entries {
		if e != nil {
			e.score = int64(ids[i].Score)
			there = append(there, e)
		}
	}
	return there, err
}

// read gives an entry for each id, nil for one that is not there or that cannot
// be read; the error has the latter.
func (q *Queue) read(ctx context.Context, ids []string) ([]*Entry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	texts, err := q.redis.HMGet(ctx, format.ItemsKey, ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	entries := make([]*Entry, len(ids))
	var bad error
	for i, text := range texts {
		s, ok := text.(string)
		if !ok {
			continue
		}
		item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: ids[i]}, s)
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		item.ID = ids[i]
		entries[i] = &Entry{Item: item, text: s}
	}
	return entries, bad
}

// decimal is a number as an argument of a command.
func decimal(n int64) string { return strconv.FormatInt(n, 10) }
