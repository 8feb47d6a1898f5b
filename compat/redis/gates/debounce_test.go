package gates

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

func TestNextDebounce(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_795_645_391_624)
	id, lease := ulid.Make(), ulid.MustNew(ulid.Timestamp(now.Add(time.Second)), ulid.DefaultEntropy())
	kept := func(ts, latest string) *format.Debounced {
		d := &format.Debounced{Event: json.RawMessage(`{"ts":` + ts + `}`)}
		require.NoError(t, json.Unmarshal([]byte(latest), &d.Latest))
		return d
	}
	job := &jobs.Entry{}
	leased := &jobs.Entry{Item: format.Item{LeaseID: &lease}}
	at := func(seconds int64) int64 { return now.UnixMilli() + seconds*1000 + 1050 }
	for name, c := range map[string]struct {
		was           jobs.Debounce
		period, limit time.Duration
		want          debouncePlan
	}{
		"the first":          {period: time.Minute, want: debouncePlan{seconds: 60, at: at(60)}},
		"less than a second": {period: time.Millisecond, want: debouncePlan{seconds: 1, at: at(1)}},
		"with a limit": {period: time.Minute, limit: 5 * time.Minute,
			want: debouncePlan{seconds: 60, at: at(60), latest: now.UnixMilli() + 300_000}},
		"with a limit that is less": {period: time.Minute, limit: 20_600 * time.Millisecond,
			want: debouncePlan{seconds: 21, at: now.UnixMilli() + 21_650, latest: now.UnixMilli() + 20_600}},
		"a later event": {was: jobs.Debounce{ID: id, Job: job, Kept: kept("99", "0")}, period: time.Minute,
			want: debouncePlan{id: id, seconds: 60, at: at(60)}},
		"a later event near the limit": {was: jobs.Debounce{ID: id, Job: job, Kept: kept("99", "1795645420000")}, period: time.Minute,
			want: debouncePlan{id: id, seconds: 28, at: at(28), latest: 1_795_645_420_000}},
		"after the limit": {was: jobs.Debounce{ID: id, Job: job, Kept: kept("99", "5")}, period: time.Minute,
			want: debouncePlan{id: id, seconds: 1, at: 1055, latest: 5}},
		"an earlier event": {was: jobs.Debounce{ID: id, Job: job, Kept: kept("101", "0")}, period: time.Minute,
			want: debouncePlan{id: id, seconds: 60, at: at(60), refused: true}},
		"its event is lost": {was: jobs.Debounce{ID: id, Job: job}, period: time.Minute,
			want: debouncePlan{id: id, seconds: 60, at: at(60)}},
		"while it ends": {was: jobs.Debounce{ID: id, Job: leased, Kept: kept("101", "7")}, period: time.Minute,
			want: debouncePlan{startsFormer: true, seconds: 60, at: at(60)}},
		"its job is lost": {was: jobs.Debounce{ID: id, Kept: kept("99", "7")}, period: time.Minute,
			want: debouncePlan{seconds: 60, at: at(60)}},
		"its job is lost, and its event is later": {was: jobs.Debounce{ID: id, Kept: kept("101", "7")}, period: time.Minute,
			want: debouncePlan{seconds: 60, at: at(60), keeps: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := nextDebounce(&c.was, now, 100, c.period, c.limit)
			if c.want.id.IsZero() { // another one
				require.NotZero(t, got.id)
				require.NotEqual(t, id, got.id)
				got.id = ulid.ULID{}
			}
			require.Equal(t, c.want, got)
		})
	}
}
