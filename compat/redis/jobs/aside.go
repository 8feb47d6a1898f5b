package jobs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// Why is the kind of a reason for which something is set aside: few, for metrics.
type Why string

// The kinds of reasons.
const (
	Unreadable    Why = "unreadable"
	UnknownKind   Why = "unknown_kind"
	NoEnvironment Why = "no_environment"
	NoRun         Why = "no_run"         // its run is gone
	RunUnreadable Why = "run_unreadable" // its run is there
	WrongType     Why = "wrong_type"     // a key of another type than the original's
)

// The kinds of what is set aside.
const (
	AsideItem  = "item"
	AsidePause = "pause"
	AsideKey   = "key"
	AsideEvent = "event"
)

// Defect is why something in Redis cannot be executed, however often it is tried.
type Defect struct {
	Why Why
	Err error
}

func (d *Defect) Error() string { return d.Err.Error() }
func (d *Defect) Unwrap() error { return d.Err }

// whyOf is the kind of an error's reason.
func whyOf(err error) Why {
	var d *Defect
	switch {
	case errors.As(err, &d):
		return d.Why
	case IsWrongType(err):
		return WrongType
	}
	return Unreadable
}

// IsWrongType tells that a command, or one in a script, met a key of another type.
func IsWrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(reply.Error(), "WRONGTYPE")
}

// IsDefect tells that what is stored is wrong: to try again would not help, unlike
// with an error of the connection or of the server.
func IsDefect(err error) bool {
	var value *format.ValueError
	var d *Defect
	return errors.As(err, &d) || errors.As(err, &value) || IsWrongType(err)
}

// Observer is told what becomes of data that are not as they should be; nil
// members are told nothing.
type Observer struct {
	// SetAside is told what was taken out of the way, and kept.
	SetAside func(kind string, why Why)
	// PutRight is told what could be made right again.
	PutRight func(kind string)
}

func (o Observer) setAside(kind string, why Why) {
	if o.SetAside != nil {
		o.SetAside(kind, why)
	}
}

func (o Observer) putRight(kind string) {
	if o.PutRight != nil {
		o.PutRight(kind)
	}
}

// SetAside takes an item out of the queue that is as it was read, and keeps it with
// the reason why it cannot be executed. The error is ErrChanged when it is not as
// it was read.
func (q *Queue) SetAside(ctx context.Context, e *Entry, reason error) error {
	done, err := q.remove(ctx, e.Item.ID, e.text, e.Item.Partition(), reason)
	if err == nil && !done {
		err = fmt.Errorf("set item %s aside: %w", e.Item.ID, ErrChanged)
	}
	return err
}

// remove takes an item out of its partition: one that is not there, with no text
// and no reason, or one that cannot be executed, which is set aside. done is false
// when the item is not as it was read.
func (q *Queue) remove(ctx context.Context, id, text, partition string, reason error) (done bool, err error) {
	keys := []string{
		format.ItemsKey, format.ReadyKey(partition), format.ScavengerKey(partition), format.LeasedKey, format.SetAsideKey,
	}
	said := ""
	if reason != nil {
		said = reason.Error()
	}
	code, err := scriptRemove.Run(ctx, q.redis, append(keys, indexesIn(text)...), id, text, partition, said,
		string(whyOf(reason)), time.Now().UnixMilli()).Int()
	if err != nil {
		return false, fmt.Errorf("remove item %s: %w", id, err)
	}
	if code == 0 && text != "" {
		q.Observer.setAside(AsideItem, whyOf(reason))
	}
	return code == 0, nil
}

var (
	runInItem      = regexp.MustCompile(`"runID"\s*:\s*"([0-9A-HJKMNP-TV-Z]{26})"`)
	functionInItem = regexp.MustCompile(`"wfID"\s*:\s*"([0-9a-f-]{36})"`)
)

// indexesIn are the indexes in which an item may stand that perhaps cannot be read
// as a whole. A run whose index has something that is gone would be taken for one
// that goes on.
func indexesIn(text string) []string {
	var keys []string
	if m := runInItem.FindStringSubmatch(text); m != nil {
		if run, err := format.ParseULID(m[1]); err == nil && run != (ulid.ULID{}) {
			keys = append(keys, format.RunIndexKey(run))
		}
	}
	if m := functionInItem.FindStringSubmatch(text); m != nil {
		if fn, err := format.ParseUUID(m[1]); err == nil {
			for _, status := range []string{format.StatusStart, format.StatusInProgress, format.StatusSleep} {
				keys = append(keys, format.StatusKey(fn, status))
			}
		}
	}
	return keys
}

// SetKeyAside takes a key of a wrong type out of the way, unless it has that type
// by now. It keeps its value under another name of the same hash tag. It tells
// whether it did.
func SetKeyAside(ctx context.Context, client redis.UniversalClient, o Observer, key string, want format.Type) (bool, error) {
	have, err := client.Type(ctx, key).Result()
	if err != nil {
		return false, fmt.Errorf("read the type of %s: %w", key, err)
	}
	if have == "none" || have == string(want) {
		return false, nil
	}
	return true, keepAside(ctx, client, o, key, WrongType)
}

// keepAside gives a key another name of the same hash tag. Somebody may have done so
// already: then there is no such key, or one that is as it should be, which would only
// be written once more.
func keepAside(ctx context.Context, client redis.UniversalClient, o Observer, key string, why Why) error {
	err := client.Rename(ctx, key, format.AsideKey(key, ulid.Make())).Err()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", key, err)
	}
	o.setAside(AsideKey, why)
	return nil
}

// Mend takes keys of a partition out of the way that are of a wrong type. It tells
// whether there were any: then the partition can be visited again.
func (q *Queue) Mend(ctx context.Context, partition string) (mended bool, err error) {
	for _, key := range []string{format.ReadyKey(partition), format.ScavengerKey(partition), format.ShadowKey(partition)} {
		done, err := SetKeyAside(ctx, q.redis, q.Observer, key, format.Sorted)
		if err != nil {
			return mended, err
		}
		mended = mended || done
	}
	return mended, nil
}
