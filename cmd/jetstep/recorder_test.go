package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/history"
)

func TestRecorderTellsWhatNobodyHears(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	memory := history.NewMemory(history.Limits{})
	r := newRecorder(memory, slog.New(slog.NewTextHandler(&log, nil)))
	said := func(text string) int { return strings.Count(log.String(), text) }

	for range 3 {
		r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "app/unheard"}, 0)
	}
	require.Equal(t, 1, said("event matched no function and no wait"), "once for each name")
	r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "app/heard"}, 1)
	r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "inngest/function.finished"}, 0)
	require.Equal(t, 1, said("event matched"), "nothing about what is heard, or is the server's own")

	r.EventReceived(&bus.Delivery{Name: "app/raw", Seq: 7, StoredAt: time.Now(), Body: []byte(`{"name":"app/raw"}`)}, 0)
	require.Equal(t, 1, said("event=app/raw"))
	r.EventReceived(&bus.Delivery{Name: "app/junk", Seq: 8, StoredAt: time.Now(), Body: []byte(`junk`)}, 0)
	require.Equal(t, 1, said(`msg="message in EVENTS is no event" event=app/junk seq=8`))
	events, err := memory.Events(t.Context(), history.EventFilter{})
	require.NoError(t, err)
	require.Len(t, events, 5)
}
