package migrate_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
	"jetstep/state"
)

// memory is a side in memory, which can fail at its next steps.
type memory struct {
	name  string
	items map[migrate.ID]migrate.Item
	page  int
	// failPut is before how many items of a Put it breaks off, having written those
	// before; -1 is never. failRead is before which page.
	failPut, failRead int
	puts              int
	without           migrate.Kind // it has no place for those
}

var errBroken = errors.New("broken off")

func newMemory(name string, items ...migrate.Item) *memory {
	m := &memory{name: name, items: map[migrate.ID]migrate.Item{}, page: 3, failPut: -1, failRead: -1}
	for _, item := range items {
		m.items[item.ID] = item
	}
	return m
}

func (m *memory) Name() string                            { return m.name }
func (m *memory) Busy(context.Context) (string, error)    { return "", nil }
func (m *memory) Estimate(context.Context) (int64, error) { return int64(len(m.items)), nil }
func (m *memory) Keeps(k migrate.Kind) bool               { return k.Moves() && k != m.without }
func compareIDs(a, b migrate.ID) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
}

func (m *memory) Each(ctx context.Context, after migrate.Position, visit func(migrate.Page) error) error {
	ids := slices.SortedFunc(maps.Keys(m.items), compareIDs)
	from := 0
	if after != "" {
		n, err := strconv.Atoi(string(after))
		if err != nil {
			return err
		}
		from = n
	}
	for page := 0; from < len(ids); page++ {
		if page == m.failRead {
			return errBroken
		}
		until := min(from+m.page, len(ids))
		p := migrate.Page{After: migrate.Position(strconv.Itoa(until)), Read: int64(until - from)}
		for _, id := range ids[from:until] {
			p.Items = append(p.Items, m.items[id])
		}
		if err := visit(p); err != nil {
			return err
		}
		from = until
	}
	return nil
}

func (m *memory) Get(_ context.Context, ids []migrate.ID) ([]*migrate.Item, error) {
	found := make([]*migrate.Item, len(ids))
	for i, id := range ids {
		if item, ok := m.items[id]; ok {
			found[i] = &item
		}
	}
	return found, nil
}

func (m *memory) Put(_ context.Context, items []migrate.Item) ([]migrate.Outcome, error) {
	outcomes := make([]migrate.Outcome, len(items))
	for i, item := range items {
		if m.failPut == 0 {
			return nil, errBroken
		}
		m.failPut--
		if there, ok := m.items[item.ID]; ok {
			outcomes[i] = migrate.Differs(&item, &there)
			continue
		}
		if item.Run != nil && item.Run.State.Endpoint != nil {
			outcomes[i] = migrate.Outcome{Result: migrate.Refused, Reason: "no place"}
			continue
		}
		m.puts++
		m.items[item.ID] = item
	}
	return outcomes, nil
}

var fn = uuid.MustParse("62755c39-95cf-5e64-a26b-73152f904cd8")

func aRun(n int) *migrate.Run {
	id := ulid.MustNew(uint64(1000+n), nil)
	return &migrate.Run{State: state.Run{
		ID: id, FunctionID: fn, Slug: "app-fn", Idempotency: "a-" + strconv.Itoa(n), Version: 2, StartedAt: 5,
		Steps: []state.Step{{ID: "s", Memo: []byte("1")}}, Jobs: []state.Job{{ID: "j", Kind: state.JobSleep, Due: 9, MaxAttempts: 4, Step: "t"}},
	}}
}

// some are items of all kinds.
func some(runs int) []migrate.Item {
	event := ulid.MustNew(7, nil)
	text := "red"
	items := []migrate.Item{
		(&migrate.Claim{Key: "a-b", RunID: event, Ended: true, Until: 1 << 50}).Item(),
		(&migrate.Batch{ID: event, FunctionID: fn, EventIDs: []ulid.ULID{event}, Due: 4}).Item(),
		(&migrate.Batched{FunctionID: fn, EventID: event, Until: 1 << 50}).Item(),
		(&migrate.Debounce{ID: event, FunctionID: fn, Text: &text, Due: 7}).Item(),
		(&migrate.Rate{FunctionID: fn, Throttle: true, TAT: 5, Until: 1 << 50}).Item(),
		(&migrate.Rate{FunctionID: fn, Expr: "e", Value: "v", TAT: 5, Until: 1 << 50}).Item(),
		(&migrate.Semaphore{ID: "fn:x", Used: 2, Capacity: 3}).Item(),
		(&migrate.Cron{FunctionID: fn, Expr: "* * * * *", Next: 60}).Item(),
		(&migrate.Bad{Key: "k", Member: "m", Reason: "not JSON", Value: "{"}).Item(),
		{ID: migrate.ID{Kind: migrate.KindDerived, Key: "index"}, Count: 3},
	}
	for n := range runs {
		items = append(items, aRun(n).Item())
	}
	return items
}

func copyOf(t *testing.T, c migrate.Copying) (*migrate.Summary, []migrate.Report, error) {
	t.Helper()
	var reports []migrate.Report
	c.Report = func(r migrate.Report) error {
		reports = append(reports, r)
		return nil
	}
	summary, err := migrate.Copy(t.Context(), c)
	return summary, reports, err
}

// differing are the ids of what differs, with where it is missing.
func differing(t *testing.T, a, b migrate.Source) []string {
	t.Helper()
	var all []string
	compared, err := migrate.Verify(t.Context(), migrate.Verifying{A: a, B: b, Differ: func(id migrate.ID, missing string, d []migrate.Difference) error {
		all = append(all, string(id.Kind)+"|"+missing)
		return nil
	}})
	require.NoError(t, err)
	require.Len(t, all, compared.Differ)
	return all
}
