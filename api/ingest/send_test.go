package ingest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/state"
)

func TestSend(t *testing.T) {
	t.Parallel()
	published := &store{}
	id, err := newIngester(t, Config{Publisher: published}).Send(t.Context(), []byte(`{"name":"a","id":"mine","data":{"x":1},"ts":1700000000000}`))
	require.NoError(t, err)
	require.False(t, id.IsZero())
	require.Equal(t, []string{`{"data":{"x":1},"id":"mine","name":"a","ts":1700000000000}`}, published.events)

	for event, words := range map[string]string{
		`{}`: "event name is empty", `{"name":"inngest/x"}`: "event name is reserved for internal use: inngest/x",
		``: string(errBody), `[]`: string(errBody), `[{"name":"a"},{"name":"b"}]`: string(errBody),
		`{"name":"a","data":[]}`: "json: cannot unmarshal array into Go struct field raw.data of type map[string]interface {}",
	} {
		_, err := newIngester(t, Config{Publisher: published}).Send(t.Context(), []byte(event))
		require.ErrorIs(t, err, ErrRefused, event)
		require.EqualError(t, err, words)
	}
	require.Len(t, published.events, 1)

	_, err = newIngester(t, Config{Publisher: &store{err: fmt.Errorf("x: %w", bus.ErrTooLarge)}}).Send(t.Context(), []byte(`{"name":"a"}`))
	require.ErrorIs(t, err, ErrRefused)
	_, err = newIngester(t, Config{Publisher: &store{err: errors.New("no leader")}}).Send(t.Context(), []byte(`{"name":"a"}`))
	require.ErrorContains(t, err, "no leader")
	require.NotErrorIs(t, err, ErrRefused)
}

func TestInvokeRun(t *testing.T) {
	t.Parallel()
	published := &store{}
	run := ulid.MustParse("01JQDAE4RQF8MBCR55T5AK4KXR")
	event, err := newIngester(t, Config{Publisher: published}).InvokeRun(t.Context(), "app-fn", run, []byte(`{"data":{"a":1},"id":"key"}`))
	require.NoError(t, err)
	require.Equal(t, "key", event.ID)
	require.Contains(t, published.events[0], `"fn_id":"app-fn"`)
	require.Contains(t, published.events[0], `"run_id":"01JQDAE4RQF8MBCR55T5AK4KXR"},"a":1}`)
	require.Equal(t, published.events[0], string(event.JSON()))
}

func TestInvokeToDebug(t *testing.T) {
	t.Parallel()
	published := &store{}
	in := newIngester(t, Config{Publisher: published})
	run := ulid.MustParse("01JQDAE4RQF8MBCR55T5AK4KXR")
	_, err := in.InvokeToDebug(t.Context(), "app-fn", state.Debug{Run: run}, []byte(`{"data":{"_inngest":{"debug_session_id":"x"}}}`))
	require.NoError(t, err)
	require.Contains(t, published.events[0], `"debug_run_id":"01JQDAE4RQF8MBCR55T5AK4KXR"}}`)
	require.NotContains(t, published.events[0], "debug_session_id")
	_, err = in.InvokeToDebug(t.Context(), "app-fn", state.Debug{}, []byte(`[]`))
	require.ErrorIs(t, err, ErrInvokeBody)
}
