package ingest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func TestSeededIDs(t *testing.T) {
	t.Parallel()
	const seed = "1743130137367,eii2YKXRVTJPuA=="
	events, err := Parse([]byte(`{"name":"a"}`), "", seed, now)
	require.NoError(t, err)
	require.Equal(t, "01JQDAE4RQF8MBCR55T5AK4KXS", events[0].InternalID.String())
	require.True(t, events[0].Seeded)

	events, err = Parse([]byte(`[{"name":"a"},{"name":"b","id":"mine"},{"name":"c"}]`), "", seed, now)
	require.NoError(t, err)
	require.Equal(t, "01JQDAE4RQF8MBCR55T5AK4KXS", events[0].ID)
	require.Equal(t, "01JQDAE4RQF8MBCR55T5AK4KXT", events[1].InternalID.String())
	require.Equal(t, "mine", events[1].ID)
	require.Equal(t, "01JQDAE4RQF8MBCR55T5AK4KXV", events[2].ID)
}

func TestInvalidSeedsAreIgnored(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"x", "1743130137367", "1743130137367,eii2", "-1,eii2YKXRVTJPuA==", "1743130137367,eii2YKXRVTJPuA==,1"} {
		events, err := Parse([]byte(`{"name":"a"}`), "", seed, now)
		require.NoError(t, err)
		require.False(t, events[0].Seeded, seed)
		require.NotEqual(t, "01JQDAE4RQF8MBCR55T5AK4KXS", events[0].ID, seed)
	}
}

func TestRandomIDsGrow(t *testing.T) {
	t.Parallel()
	var source blockSource
	var last ulid.ULID
	draw := func(at time.Time) ulid.ULID {
		return makeULID(source.reserve(at))
	}
	for _, step := range []time.Duration{0, 0, time.Millisecond, 0, -500 * time.Millisecond, 0, time.Second, 0} {
		at := now.Add(step)
		id := draw(at)
		require.Positive(t, id.Compare(last), "after a step of %s", step)
		last = id
	}
	id := draw(now.Add(-time.Hour))
	require.Equal(t, ulid.Timestamp(now.Add(-time.Hour)), id.Time(), "a clock set back far is believed")
}

func TestRandomIDsOfOneRequest(t *testing.T) {
	t.Parallel()
	body := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, 5000), ",") + "]")
	events, err := Parse(body, "", "", now)
	require.NoError(t, err)
	for i, e := range events[1:] {
		require.Positive(t, e.InternalID.Compare(events[i].InternalID), "event %d", i+1)
	}
	require.Equal(t, events[0].InternalID.String(), events[0].ID)
	require.Equal(t, ulid.Timestamp(now), events[0].InternalID.Time())
}

func TestRandomIDsOfConcurrentRequestsDiffer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[ulid.ULID]bool{}
	var requests sync.WaitGroup
	for range 8 {
		requests.Go(func() {
			for range 200 {
				events, err := Parse([]byte(`[{"name":"a"},{"name":"b"}]`), "", "", time.Now())
				require.NoError(t, err)
				mu.Lock()
				seen[events[0].InternalID], seen[events[1].InternalID] = true, true
				mu.Unlock()
			}
		})
	}
	requests.Wait()
	require.Len(t, seen, 8*200*2)
}
