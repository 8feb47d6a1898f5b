package projector

import (
	"context"
	"encoding/hex"
	"net/url"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/history/trace"
	"jetstep/history/userland"
)

// TestUserCode: spans of user code come to the database through TRACES, and
// hang where the call is that they were made in.
func TestUserCode(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir(), Partitions: 1, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	store := open(t, options(t, sqlite))
	p, err := New(Config{Bus: b, Store: store, Functions: registered{}, Logger: quiet})
	require.NoError(t, err)
	touched := make(chan []ulid.ULID, 10)
	p.OnCommit(func(runs []ulid.ULID) { touched <- runs })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	defer func() {
		stop()
		<-done
	}()

	run, request := ulid.Make(), ulid.Make()
	ref := url.QueryEscape(`{"tp":"00-` + hex.EncodeToString(run[:]) + `-` + trace.ExecutionSpan(request.String()) + `-01","ts":""}`)
	resources, err := userland.DecodeJSON([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"0102030405060708","name":"mine","startTimeUnixNano":"1795648570454000000","attributes":[
		{"key":"inngest.traceref","value":{"stringValue":"` + ref + `"}},
		{"key":"sys.function.id","value":{"stringValue":"20be5504-9564-5440-b9c9-15d46067966b"}}]}]}]}]}`))
	require.NoError(t, err)
	messages, _, err := userland.Accept(resources, 1<<20)
	require.NoError(t, err)
	require.NoError(t, b.PublishTraces(t.Context(), []byte("\x0a\x09ab"))) // junk does not stop what follows
	require.NoError(t, b.PublishTraces(t.Context(), messages[0]))
	require.NoError(t, b.PublishTraces(t.Context(), messages[0])) // as when an exporter heard no answer
	select {
	case runs := <-touched:
		require.Equal(t, []ulid.ULID{run}, runs)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing was written")
	}
	require.Eventually(t, func() bool {
		position, err := store.Position(t.Context(), TraceSource)
		return err == nil && position == 3
	}, 20*time.Second, 5*time.Millisecond)
	spans, err := store.Spans(t.Context(), run)
	require.NoError(t, err)
	require.Len(t, spans, 1)
	require.Equal(t, hex.EncodeToString(request[8:]), spans[0].ParentSpanID)
	require.Equal(t, trace.NameUserland, spans[0].Name)
}
