package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
	"jetstep/queue"
)

// attendant does jobs of the system as its test says, by the number of the try.
type attendant struct {
	mu   sync.Mutex
	done map[string]int
	do   func(item *format.Item, try int) error
}

func (a *attendant) Do(_ context.Context, item *format.Item) error {
	a.mu.Lock()
	a.done[item.ID]++
	try := a.done[item.ID]
	a.mu.Unlock()
	return a.do(item, try)
}

func (a *attendant) tries(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done[id]
}

// systemItem is a job of the system that is due; queue is "" for one that counts
// as the function's.
func systemItem(name, kind, queue string, attempts int) *format.Item {
	return &format.Item{
		ID: function.Hash(name), At: time.Now().UnixMilli(), FunctionID: functionID(), Environment: environment, Queue: queue,
		Data: format.ItemData{
			Kind: kind, Queue: queue, Environment: environment, MaxAttempts: &attempts, Payload: json.RawMessage(`{}`),
			Identifier: format.Identifier{FunctionID: functionID(), AccountID: account, EnvironmentID: environment},
		},
	}
}

// TestSystemJobs: each is done until it is done, set aside or left for later, and
// nobody does one twice at once.
func TestSystemJobs(t *testing.T) {
	t.Parallel()
	s := open(t)
	q := jobs.NewQueue(s.client)
	away := errors.New("away")
	good, bad := systemItem("good", format.KindCancel, format.QueueCancel, 21), systemItem("bad", format.KindCancel, format.QueueCancel, 21)
	tired, soon := systemItem("tired", format.KindBatch, format.QueueBatch, 1), systemItem("soon", format.KindBatch, format.QueueBatch, 21)
	again := systemItem("again", format.KindCron, format.QueueCron(environment), 21)
	ours := systemItem("ours", format.KindDebounce, "", 21)
	_, err := q.Enqueue(t.Context(), time.Now(), good, bad, tired, soon, again, ours)
	require.NoError(t, err)
	a := &attendant{done: map[string]int{}, do: func(item *format.Item, _ int) error {
		switch item.ID {
		case bad.ID:
			return fmt.Errorf("it is bad: %w", engine.ErrUnfit)
		case tired.ID, again.ID:
			return away
		case soon.ID:
			return engine.ErrLater
		}
		return nil
	}}
	s.Attend(a)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _, _ = s.Lease(ctx, queue.LaneWake) }() // partitions of functions are visited for somebody
	left := func() map[string]string { return s.client.HGetAll(t.Context(), format.ItemsKey).Val() }
	item := func(id string) format.Item {
		i, err := format.Decode[format.Item](format.Place{}, left()[id])
		require.NoError(t, err)
		return i
	}
	require.Eventually(t, func() bool {
		return len(left()) == 2 && item(soon.ID).Generation == 2 && item(again.ID).Generation == 2
	}, patience, 20*time.Millisecond)
	require.Equal(t, 1, item(again.ID).Data.Attempt)
	require.Zero(t, item(soon.ID).Data.Attempt)
	aside := s.client.HGetAll(t.Context(), format.SetAsideKey).Val()
	require.Contains(t, aside[bad.ID], "it is bad")
	require.Contains(t, aside[tired.ID], "away")
	require.Len(t, aside, 2)
	for _, i := range []*format.Item{good, ours} {
		require.Equal(t, 1, a.tries(i.ID))
		require.EqualValues(t, 1, s.client.Exists(t.Context(), format.SeenKey(i.ID)).Val())
	}
	require.Zero(t, s.client.Exists(t.Context(), format.LeasedKey, format.CapacityLeasesKey(account)).Val())
}

// TestSystemJobsStay: nobody who does them is there, or the node is ending.
func TestSystemJobsStay(t *testing.T) {
	t.Parallel()
	s := open(t)
	q := jobs.NewQueue(s.client)
	_, err := q.Enqueue(t.Context(), time.Now(), systemItem("ours", format.KindDebounce, "", 21), systemItem("good", format.KindCancel, format.QueueCancel, 21))
	require.NoError(t, err)
	s.nothing(queue.LaneCall)
	s.StopLeasing()
	a := &attendant{done: map[string]int{}, do: func(*format.Item, int) error { return nil }}
	s.Attend(a)
	require.Never(t, func() bool { return s.client.HLen(t.Context(), format.ItemsKey).Val() != 2 }, 300*time.Millisecond, 20*time.Millisecond)
}

// TestManySystemJobs: more than are done at once are all done, by two processes
// each once.
func TestManySystemJobs(t *testing.T) {
	t.Parallel()
	s := open(t)
	other := openOn(t, s.client, engine.Limits{})
	q := jobs.NewQueue(s.client)
	const total = 150
	items := make([]*format.Item, total)
	for i := range items {
		items[i] = systemItem(fmt.Sprint(i), format.KindCancel, format.QueueCancel, 21)
	}
	_, err := q.Enqueue(t.Context(), time.Now(), items...)
	require.NoError(t, err)
	a := &attendant{done: map[string]int{}, do: func(*format.Item, int) error { return nil }}
	s.Attend(a)
	other.Attend(a)
	require.Eventually(t, func() bool { return s.client.HLen(t.Context(), format.ItemsKey).Val() == 0 }, patience, 20*time.Millisecond)
	for _, i := range items {
		require.Equal(t, 1, a.tries(i.ID))
	}
}

// TestSystemJobsInTime: one that is due in a while is done then, not at the next
// whole second.
func TestSystemJobsInTime(t *testing.T) {
	t.Parallel()
	s := open(t)
	done := make(chan time.Time, 1)
	s.Attend(&attendant{done: map[string]int{}, do: func(*format.Item, int) error {
		done <- time.Now()
		return nil
	}})
	item := systemItem("soon", format.KindCancel, format.QueueCancel, 21)
	item.At = time.Now().Add(400 * time.Millisecond).UnixMilli()
	_, err := jobs.NewQueue(s.client).Enqueue(t.Context(), time.Now(), item)
	require.NoError(t, err)
	s.Expect(format.QueueCancel, time.UnixMilli(item.At))
	select {
	case at := <-done:
		require.False(t, at.Before(time.UnixMilli(item.At)))
	case <-time.After(patience):
		t.Fatal("it is not done")
	}
}
