package logdata

import (
	"context"
	"iter"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/migrate"
	"jetstep/function"
	"jetstep/state"
)

// Partitions are those of the native path, at rest while they are read.
type Partitions interface {
	// TakeOver makes things durable that come from elsewhere.
	TakeOver(ctx context.Context, all []state.Moved) ([]state.TakeOutcome, error)
	// Find looks for things; the Fact of one that is not there is nil.
	Find(ctx context.Context, wanted []state.Moved) ([]state.Moved, error)
	// Live tells which of the runs are live.
	Live(ctx context.Context, runs []ulid.ULID) ([]bool, error)
	// Walk shows everything behind a position, with the position behind each page.
	Walk(ctx context.Context, after string, visit func(page []state.Moved, after string) error) error
	// Kept is about how many things Walk shows.
	Kept() int
	// Unsettled says what is under way, and is therefore not shown; "" for nothing.
	Unsettled(ctx context.Context) (string, error)
}

// Catalog is what is registered.
type Catalog interface {
	Executable(fn uuid.UUID) (found *function.Function, app uuid.UUID, ok bool)
	All() iter.Seq[*function.App]
}

// Side is the native path's storage as a side of a migration.
type Side struct {
	name       string
	partitions Partitions
	catalog    func() Catalog
}

// Open is the side that the partitions are; catalog is that of the moment.
func Open(name string, p Partitions, catalog func() Catalog) *Side { return &Side{name, p, catalog} }

var _ migrate.Target = (*Side)(nil)

// Name implements migrate.Source.
func (s *Side) Name() string { return s.name }

// Busy implements migrate.Source. No other process serves the partitions, or this
// one would not; but something may be under way.
func (s *Side) Busy(ctx context.Context) (string, error) { return s.partitions.Unsettled(ctx) }

// Estimate implements migrate.Source.
func (s *Side) Estimate(context.Context) (int64, error) { return int64(s.partitions.Kept()), nil }

// Keeps implements migrate.Source: what runs hold of a limit follows from the runs.
func (s *Side) Keeps(k migrate.Kind) bool { return k.Moves() && k != migrate.KindSemaphore }

// Each implements migrate.Source.
func (s *Side) Each(ctx context.Context, after migrate.Position, visit func(migrate.Page) error) error {
	r := newReading(s.catalog())
	return s.partitions.Walk(ctx, string(after), func(page []state.Moved, after string) error {
		items, err := s.items(ctx, r, page)
		if err != nil {
			return err
		}
		return visit(migrate.Page{Items: items, After: migrate.Position(after), Read: int64(len(page))})
	})
}

// items are things in the neutral form. Claims that are no idempotency keys are
// left out.
func (s *Side) items(ctx context.Context, r *reading, page []state.Moved) ([]migrate.Item, error) {
	var items []migrate.Item
	var claims []int
	var holders []ulid.ULID
	for i := range page {
		item, ok := r.item(&page[i])
		if !ok {
			continue
		}
		if item.Claim != nil {
			claims, holders = append(claims, len(items)), append(holders, item.Claim.RunID)
		}
		items = append(items, item)
	}
	live, err := s.partitions.Live(ctx, holders)
	if err != nil {
		return nil, err
	}
	for i, at := range claims {
		items[at].Claim.Ended = !live[i]
	}
	return items, nil
}

// Get implements migrate.Source.
func (s *Side) Get(ctx context.Context, ids []migrate.ID) ([]*migrate.Item, error) {
	items := make([]*migrate.Item, len(ids))
	var wanted []state.Moved
	var at []int
	for i, id := range ids {
		if m, ok := named(id); ok {
			wanted, at = append(wanted, m), append(at, i)
		}
	}
	found, err := s.partitions.Find(ctx, wanted)
	if err != nil {
		return nil, err
	}
	catalog := s.catalog()
	for i := range found {
		if found[i].Fact == nil {
			continue
		}
		if found[i].Function == uuid.Nil {
			found[i].Function = wanted[i].Function
		}
		page, err := s.items(ctx, expecting(catalog, ids[at[i]], &wanted[i]), found[i:i+1])
		if err != nil {
			return nil, err
		}
		if len(page) == 1 {
			items[at[i]] = &page[0]
		}
	}
	return items, nil
}

// Put implements migrate.Target.
func (s *Side) Put(ctx context.Context, items []migrate.Item) ([]migrate.Outcome, error) {
	outcomes := make([]migrate.Outcome, len(items))
	var moved []state.Moved
	var at []int
	for i := range items {
		m, err := s.moved(&items[i])
		if err != nil {
			outcomes[i] = migrate.Outcome{Result: migrate.Refused, Reason: err.Error()}
			continue
		}
		moved, at = append(moved, m), append(at, i)
	}
	results, err := s.partitions.TakeOver(ctx, moved)
	if err != nil {
		return nil, err
	}
	var had []int
	for i, r := range results {
		outcomes[at[i]] = outcome(r)
		if r.Result == state.TakenHad {
			had = append(had, at[i])
		}
	}
	return outcomes, s.compareHad(ctx, items, had, outcomes)
}

func outcome(r state.TakeOutcome) migrate.Outcome {
	o := migrate.Outcome{Reason: r.Reason}
	switch r.Result {
	case state.Taken:
		o.Result = migrate.Written
	case state.TakenHad:
		o.Result = migrate.There
	case state.TakenEnded:
		o.Result = migrate.WentOn
	case state.TakenOther:
		o.Result = migrate.Conflicts
	default:
		o.Result = migrate.Refused
	}
	return o
}

// compareHad tells whether what was there is the same, or has gone on.
func (s *Side) compareHad(ctx context.Context, items []migrate.Item, had []int, outcomes []migrate.Outcome) error {
	ids := make([]migrate.ID, len(had))
	for i, index := range had {
		ids[i] = items[index].ID
	}
	there, err := s.Get(ctx, ids)
	if err != nil {
		return err
	}
	for i, index := range had {
		item := &items[index]
		switch {
		case there[i] == nil:
			outcomes[index] = migrate.Outcome{Result: migrate.WentOn, Reason: "it has ended meanwhile"}
		case item.Rate != nil || item.Cron != nil:
			if len(migrate.Compare(item, there[i])) > 0 {
				outcomes[index] = migrate.Outcome{Result: migrate.WentOn, Reason: "it is further on in the target"}
			}
		case item.Claim == nil && item.Batched == nil:
			outcomes[index] = migrate.Differs(item, there[i])
		}
	}
	return nil
}
