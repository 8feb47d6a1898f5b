package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/script"
	"jetstep/function"
)

var (
	scriptDebounceNew  = nested("enqueue", "debounce")
	scriptDebounceMove = nested("requeue", "debounce")
	scriptEndDebounce  = embedded("end_debounce")
)

// nested is a script of the queue that another one does first, as operation.
func nested(first, then string) *script.Script {
	return script.New(script.Source(sources, "earliest", "pointers") +
		"local function operation(KEYS, ARGV)\n" + script.Source(sources, first) + "\nend\n" + script.Source(sources, then))
}

// Debounce is a debounce as it was read (redis-state §12).
type Debounce struct {
	// ID is that which the pointer names, zero for none.
	ID ulid.ULID
	// Kept is the event that the debounce has, nil when it has none.
	Kept *format.Debounced
	// Job ends the debounce. It may be gone: then nothing will.
	Job *Entry

	function      uuid.UUID
	key           string // evaluated
	pointer, text string
}

// Debounce reads the debounce that collects for a value of the function's key. An
// event of it that cannot be read is set aside: the next takes its place.
func (q *Queue) Debounce(ctx context.Context, fn uuid.UUID, key string) (*Debounce, error) {
	d := &Debounce{function: fn, key: key}
	name := format.DebouncePointerKey(fn, key)
	var err error
	if d.pointer, err = q.redis.Get(ctx, name).Result(); errors.Is(err, redis.Nil) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read debounce pointer %s: %w", name, err)
	}
	if d.ID, err = format.ParseULID(d.pointer); err != nil {
		return d, nil // a pointer to nothing: it is replaced
	}
	var event, job *redis.StringCmd
	item := function.DebounceJob(d.pointer)
	err = pipeline.Do(ctx, q.redis, func(p redis.Pipeliner) {
		event, job = p.HGet(ctx, format.DebouncesKey, d.pointer), p.HGet(ctx, format.ItemsKey, item)
	})
	if err != nil {
		return nil, fmt.Errorf("read debounce %s: %w", d.ID, err)
	}
	if d.Kept, d.text, err = debounced(d.ID, event); IsDefect(err) {
		err = q.keepEvent(ctx, d.pointer, d.text, err)
	}
	if err != nil {
		return nil, err
	}
	if text, err := job.Result(); err == nil {
		d.Job, _ = entryOf(item, text) // one that cannot be read ends nothing
	}
	return d, nil
}

// keepEvent keeps an event of a debounce that cannot be read, under the debounce's id,
// beside the items that were set aside.
func (q *Queue) keepEvent(ctx context.Context, debounce, text string, reason error) error {
	aside, err := format.Encode(format.Aside{
		Partition: format.DebouncesKey, Reason: reason.Error(), Why: string(Unreadable), At: time.Now().UnixMilli(), Item: text,
	})
	if err != nil {
		return err
	}
	added, err := q.redis.HSetNX(ctx, format.SetAsideKey, debounce, aside).Result()
	if err != nil {
		return fmt.Errorf("set the event of debounce %s aside: %w", debounce, err)
	}
	if added {
		q.Observer.setAside(AsideEvent, Unreadable)
	}
	return nil
}

// Debounced is the event that a debounce starts its run with, nil for none.
func (q *Queue) Debounced(ctx context.Context, id ulid.ULID) (*format.Debounced, error) {
	kept, _, err := debounced(id, q.redis.HGet(ctx, format.DebouncesKey, id.String()))
	return kept, err
}

// debounced is the event that was read, nil for none, and its text.
func debounced(id ulid.ULID, read *redis.StringCmd) (kept *format.Debounced, text string, err error) {
	text, err = read.Result()
	if errors.Is(err, redis.Nil) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read debounce %s: %w", id, err)
	}
	d, err := format.Decode[format.Debounced](format.Place{Key: format.DebouncesKey, Member: id.String()}, text)
	if err != nil {
		return nil, text, err
	}
	return &d, text, nil
}

// Debouncing is what a debounce becomes by an event.
type Debouncing struct {
	ID      ulid.ULID
	Event   *format.Debounced
	Seconds int64 // for which the pointer is kept
	// Job ends it when its At says. Of the debounce that there was only the time
	// changes.
	Job *format.Item
}

// PutDebounce makes of a debounce, as it was read, what it is by an event. done is
// false when it has changed meanwhile. One that is replaced although its job is
// gone is forgotten.
func (q *Queue) PutDebounce(ctx context.Context, d *Debounce, next *Debouncing, now time.Time) (done bool, err error) {
	text, err := format.Encode(next.Event)
	if err != nil {
		return false, err
	}
	combined, do := scriptDebounceNew, script.Operation{}
	if next.ID == d.ID && d.Job != nil {
		combined = scriptDebounceMove
		_, do, err = moveOperation(d.Job, now, next.Job.At)
	} else {
		do, err = enqueueOperation(next.Job, now, false)
	}
	if err != nil {
		return false, err
	}
	old := ""
	if d.text != "" {
		old = d.ID.String()
	}
	forget := next.ID != d.ID && old != "" && d.Job == nil
	args := append([]any{
		len(do.Keys), len(do.Args), d.pointer, old, d.text, next.ID.String(), text, max(next.Seconds, 1), forget,
	}, do.Args...)
	keys := append(do.Keys[:len(do.Keys):len(do.Keys)], format.DebouncePointerKey(d.function, d.key), format.DebouncesKey)
	code, err := combined.Run(ctx, q.redis, keys, args...).Int()
	if err != nil {
		return false, fmt.Errorf("debounce %s of function %s: %w", next.ID, d.function, err)
	}
	return code == 0, nil
}

// EndDebounce takes away a debounce that has started its run. Unlike the
// original's, its pointer does not stay behind.
func (q *Queue) EndDebounce(ctx context.Context, fn uuid.UUID, key string, id ulid.ULID) error {
	keys := []string{format.DebouncePointerKey(fn, key), format.DebouncesKey}
	if err := scriptEndDebounce.Run(ctx, q.redis, keys, id.String()).Err(); err != nil {
		return fmt.Errorf("end debounce %s: %w", id, err)
	}
	return nil
}

// Move makes an item that is as it was read, and not leased, due at another time,
// in milliseconds (redis-queue §9.9).
func (q *Queue) Move(ctx context.Context, e *Entry, now time.Time, at int64) error {
	_, o, err := moveOperation(e, now, at)
	return q.one(ctx, "move", e, o, err)
}

func moveOperation(e *Entry, now time.Time, at int64) (*Entry, script.Operation, error) {
	at = max(at, now.UnixMilli())
	return putBack(e, now, at, func(i *format.Item) { i.At, i.WallTime = at, at })
}
