package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
)

// Kind is a kind of what can be wrong.
type Kind string

// What can be wrong. Each kind is repaired unless it says that it is not.
const (
	ItemUnreadable      Kind = "item_unreadable"      // or that nobody can execute: set aside
	ItemWithoutRun      Kind = "item_without_run"     // set aside
	ItemLost            Kind = "item_lost"            // in no line: back in its partition's
	ItemTwice           Kind = "item_twice"           // ready and leased: only what its lease says
	ItemUnindexed       Kind = "item_unindexed"       // the end of its run would not find it: indexed
	ItemScore           Kind = "item_score"           // beyond all time: as its time says
	LeaseFarFuture      Kind = "lease_far_future"     // of an item, or of capacity: ended
	PartitionUnreadable Kind = "partition_unreadable" // made anew at the next visit
	PartitionMissing    Kind = "partition_missing"    // items without it: made again
	PointerMissing      Kind = "pointer_missing"      // or too late for the first item: put back
	PointerToNothing    Kind = "pointer_to_nothing"   // removed
	RunUnreadable       Kind = "run_unreadable"       // not repaired
	RunStuck            Kind = "run_stuck"            // neither job nor wait: called
	PauseUnreadable     Kind = "pause_unreadable"     // set aside
	PauseWithoutRun     Kind = "pause_without_run"    // set aside
	BatchWithoutJob     Kind = "batch_without_job"    // not repaired: a server gives it one
	KeyOfWrongType      Kind = "key_of_wrong_type"    // set aside
	SetAside            Kind = "set_aside"            // restored, if it can be executed by now
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Key      string `json:"key"`
	Member   string `json:"member,omitempty"` // of a hash or sorted set
	Reason   string `json:"reason"`
	Repaired bool   `json:"repaired"`
	// Discarded tells that it was deleted.
	Discarded bool `json:"discarded,omitempty"`
}

// Summary counts.
type Summary struct {
	Keys     int64          `json:"keys"` // that were looked at, as all below
	Runs     int64          `json:"runs"`
	Items    int64          `json:"items"`
	Pauses   int64          `json:"pauses"`
	Found    map[Kind]int64 `json:"found"`
	Repaired map[Kind]int64 `json:"repaired"` // or discarded
}

// Left is how much is wrong still.
func (s *Summary) Left() int64 {
	left := int64(0)
	for kind, n := range s.Found {
		left += n - s.Repaired[kind]
	}
	return left
}

// Config says what to do.
type Config struct {
	Redis redis.UniversalClient
	// Repair repairs what is found; without it nothing is changed.
	Repair bool
	// Discard deletes what was set aside and cannot be restored; only with Repair.
	Discard bool
	// Attempts is how often calls of stuck runs may be tried; 0 is DefaultAttempts.
	Attempts int
	// Patience is after how long a run that has nothing to go on with is stuck: it may
	// be just between two jobs. 0 is DefaultPatience.
	Patience time.Duration
	// Report is told each finding as it is found.
	Report func(Finding) error
}

// What counts when the configuration says nothing.
const (
	DefaultAttempts = 4
	DefaultPatience = 2 * time.Second
)

// batch is how much is looked at in one round trip.
const batch = 200

// inspection is one look at a Redis.
type inspection struct {
	Config
	runs    *runs.Store
	jobs    *jobs.Queue
	now     time.Time
	summary Summary
	quiet   []quietRun // have nothing to go on with, as of a moment ago
}

// Run looks at everything in a Redis.
func Run(ctx context.Context, c Config) (*Summary, error) {
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	i := &inspection{
		Config: c, runs: runs.NewStore(c.Redis), jobs: jobs.NewQueue(c.Redis), now: time.Now(),
		summary: Summary{Found: map[Kind]int64{}, Repaired: map[Kind]int64{}},
	}
	// What was set aside comes first: what is set aside now stays so.
	for _, look := range []func(context.Context) error{
		i.asideItems, i.asidePauses, i.keys, i.quietRuns, i.items, i.partitions, i.pointers, i.capacity,
	} {
		if err := look(ctx); err != nil {
			return &i.summary, err
		}
	}
	return &i.summary, nil
}

// found reports a finding; repair is done first, if there is to be one and it can
// be done. It tells whether it did something.
func (i *inspection) found(f Finding, repair func() (bool, error)) error {
	i.summary.Found[f.Kind]++
	var err error
	if i.Repair && repair != nil {
		f.Repaired, err = repair()
		if jobs.IsDefect(err) { // it cannot be repaired; the rest can
			f.Reason += "; cannot be repaired: " + err.Error()
			err = nil
		}
	}
	if f.Repaired {
		i.summary.Repaired[f.Kind]++
	}
	if err != nil {
		return fmt.Errorf("repair %s [%s]: %w", f.Key, f.Member, err)
	}
	return i.report(f)
}

func (i *inspection) report(f Finding) error {
	if i.Report == nil {
		return nil
	}
	return i.Report(f)
}

// eachField calls visit with the fields of a hash, some at a time. A key of another
// type has none: that is told of the key.
func (i *inspection) eachField(ctx context.Context, key string, visit func(fields, values []string) error) error {
	for cursor := uint64(0); ; {
		all, next, err := i.Redis.HScan(ctx, key, cursor, "", batch).Result()
		if jobs.IsWrongType(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		var fields, values []string
		for n := 0; n+1 < len(all); n += 2 {
			fields, values = append(fields, all[n]), append(values, all[n+1])
		}
		if len(fields) > 0 {
			if err := visit(fields, values); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// theRun parses the id of a run in a key that has been identified.
func theRun(text string) ulid.ULID { return ulid.MustParse(text) }
