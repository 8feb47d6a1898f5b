package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

// store is a Publisher that keeps what it was given, as bytes: the events
// themselves are only valid during Publish.
type store struct {
	mu     sync.Mutex
	events []string
	err    error
}

func (s *store) Publish(_ context.Context, events []*bus.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.events = append(s.events, string(e.JSON()))
	}
	return s.err
}

func newIngester(t *testing.T, cfg Config) *Ingester {
	t.Helper()
	cfg.Now = func() time.Time { return now }
	in, err := New(cfg)
	require.NoError(t, err)
	return in
}

func body(a Answer) string { return string(a.JSON()) }

const seed = "1743130137367,eii2YKXRVTJPuA=="

// TestAnswers are the bodies of http-api §5, byte for byte.
func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body, want string
		status     int
		stored     int
	}{
		"one":         {`{"name":"a"}`, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, 200, 1},
		"two":         {`[{"name":"a"},{"name":"b"}]`, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS","01JQDAE4RQF8MBCR55T5AK4KXT"],"status":200}`, 200, 2},
		"own id":      {`{"name":"a","id":"mine"}`, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, 200, 1},
		"nothing":     {``, `{"ids":[],"status":200}`, 200, 0},
		"empty batch": {`[]`, `{"ids":[],"status":200}`, 200, 0},
		"refused":     {`{"name":"inngest/x"}`, `{"ids":[""],"status":400,"error":"event name is reserved for internal use: inngest/x"}`, 400, 0},
		"no name":     {`{}`, `{"ids":[""],"status":400,"error":"event name is empty"}`, 400, 0},
		"in part":     {`[{"name":"a"},{"name":""},{"name":"c"}]`, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":400,"error":"event name is empty"}`, 400, 1},
		"quotes":      {`{"name":"a","meta":{"sessions":{"a":true}}}`, `{"ids":[""],"status":400,"error":"event session \"a\" must be a string, number, or null"}`, 400, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			published := &store{}
			in := newIngester(t, Config{Publisher: published})
			answer := in.Accept(t.Context(), []byte(test.body), Request{Seed: seed})
			require.Equal(t, test.want, body(answer))
			require.Equal(t, test.status, answer.Status)
			require.Len(t, published.events, test.stored)

			answer = in.AcceptFrom(t.Context(), strings.NewReader(test.body), -1, Request{Seed: seed})
			require.Equal(t, test.want, body(answer))
			require.Len(t, published.events, 2*test.stored)
		})
	}
}

func TestNothingIsReportedThatMayNotBeStored(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	published := &store{err: errors.New("no leader")}
	in := newIngester(t, Config{Publisher: published, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, events := range []string{`{"name":"a"}`, `[{"name":"a"},{"name":""}]`} {
		answer := in.Accept(t.Context(), []byte(events), Request{})
		require.Equal(t, `{"ids":[],"status":503,"error":"Events could not be stored, please try again"}`, body(answer))
		require.Equal(t, 503, answer.Status)
	}
	require.Contains(t, log.String(), "no leader")
}

func TestEventsThatNATSDoesNotTake(t *testing.T) {
	t.Parallel()
	in := newIngester(t, Config{Publisher: &store{err: fmt.Errorf("publish: %w", bus.ErrTooLarge)}})
	answer := in.Accept(t.Context(), []byte(`[{"name":"a"},{"name":"b"}]`), Request{})
	require.Equal(t, `{"ids":[""],"status":400,"error":"Event is larger than the NATS of this server accepts"}`, body(answer))
	_, err := in.Invoke(t.Context(), "s", []byte(`{}`), "")
	require.ErrorIs(t, err, ErrInvokeEvent)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		keys   Keys
		key    string
		status int
		want   string
	}{
		"any":        {AnyKey(), "whatever", 200, ""},
		"one of two": {OnlyKeys("first", "second"), "second", 200, ""},
		"other":      {OnlyKeys("first"), "wrong", 401, `{"status":401,"message":"","error":"Event key not found"}`},
		"prefix":     {OnlyKeys("first"), "firs", 401, `{"status":401,"message":"","error":"Event key not found"}`},
		"empty":      {OnlyKeys("first"), "", 401, `{"status":401,"message":"","error":"Event key is required"}`},
		"no keys":    {OnlyKeys(), "first", 503, `{"status":503,"message":"","error":"Event keys are required to process events securely"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			published := &store{}
			in := newIngester(t, Config{Publisher: published, Keys: test.keys})
			answer := in.Accept(t.Context(), []byte(`{"name":"a"}`), Request{Key: test.key})
			require.Equal(t, test.status, answer.Status)
			from := in.AcceptFrom(t.Context(), strings.NewReader(`{"name":"a"}`), 12, Request{Key: test.key})
			require.Equal(t, test.status, from.Status)
			if test.want == "" {
				require.Len(t, published.events, 2)
				return
			}
			require.Equal(t, test.want, body(answer))
			require.Equal(t, test.want, body(from))
			require.Empty(t, published.events)
		})
	}
}

func TestBodiesThatAreTooLargeOrCutOff(t *testing.T) {
	t.Parallel()
	published := &store{}
	in := newIngester(t, Config{Publisher: published, MaxBody: 20})
	const tooLarge = `{"ids":[""],"status":400,"error":"Request body is over the max size: Max 20 bytes"}`
	fits, over := `{"name":"12345678"} `, `{"name":"123456789"} `
	require.Equal(t, 200, in.AcceptFrom(t.Context(), strings.NewReader(fits), 20, Request{}).Status)
	require.Equal(t, 200, in.Accept(t.Context(), []byte(fits), Request{}).Status)
	require.Equal(t, tooLarge, body(in.AcceptFrom(t.Context(), strings.NewReader(over), -1, Request{})))
	require.Equal(t, tooLarge, body(in.AcceptFrom(t.Context(), strings.NewReader(over), 21, Request{})))
	require.Equal(t, tooLarge, body(in.Accept(t.Context(), []byte(over), Request{})))
	require.Len(t, published.events, 2)

	cut := io.MultiReader(strings.NewReader(`[{"name":"a"}`), iotest.ErrReader(io.ErrUnexpectedEOF))
	require.Equal(t, `{"ids":[""],"status":400,"error":"Unable to read request body"}`,
		body(in.AcceptFrom(t.Context(), cut, 100, Request{})))
	require.Len(t, published.events, 2, "a body that broke off is not an array that was not closed")
}

// TestBuffersAreNotShared would mix up bodies if one were reused too early.
func TestBuffersAreNotShared(t *testing.T) {
	t.Parallel()
	published := &store{}
	in := newIngester(t, Config{Publisher: published})
	var requests sync.WaitGroup
	for i := range 8 {
		requests.Go(func() {
			data := strings.Repeat(string(rune('a'+i)), 1000)
			for range 50 {
				in.AcceptFrom(t.Context(), strings.NewReader(`{"name":"a","id":"x","ts":1700000000000,"data":{"a":"`+data+`"}}`), -1, Request{})
			}
		})
	}
	requests.Wait()
	counts := map[string]int{}
	for _, event := range published.events {
		counts[event]++
	}
	require.Len(t, counts, 8)
	for event, n := range counts {
		require.Equal(t, 50, n, event)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	in := newIngester(t, Config{Publisher: &store{}, Metrics: registry})
	in.Accept(t.Context(), []byte(`[{"name":"a"},{"name":"b"},{}]`), Request{})
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 3)
	require.Equal(t, "jetstep_event_bytes_total", families[0].GetName())
	require.InDelta(t, 30, families[0].GetMetric()[0].GetCounter().GetValue(), 0)
	require.Equal(t, "jetstep_event_requests_refused_total", families[1].GetName())
	require.InDelta(t, 1, families[1].GetMetric()[0].GetCounter().GetValue(), 0)
	require.Equal(t, "400", families[1].GetMetric()[0].GetLabel()[0].GetValue())
	require.Equal(t, "jetstep_events_accepted_total", families[2].GetName())
	require.InDelta(t, 2, families[2].GetMetric()[0].GetCounter().GetValue(), 0)

	_, err = New(Config{Metrics: registry})
	require.ErrorContains(t, err, "ingest metrics")
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	const target = `{"_inngest":{"source_app_id":"","source_fn_id":"","source_fn_v":0,"fn_id":"app-fn","expire":0,"gid":"","name":""}`
	tests := map[string]struct{ body, want string }{
		"empty object": {`{}`, `{"data":` + target + `},"id":"01JQDAE4RQF8MBCR55T5AK4KXR","name":"inngest/function.invoked","ts":1795644690291}`},
		"data":         {`{"data":{"a": 1},"name":"other","user":{"u":1},"v":"2"}`, `{"data":` + target + `,"a":1},"id":"01JQDAE4RQF8MBCR55T5AK4KXR","name":"inngest/function.invoked","ts":1795644690291,"user":{"u":1},"v":"2"}`},
		"forged":       {`{"data":{"_inngest":{"fn_id":"other"}},"id":"mine","ts":1700000000000}`, `{"data":` + target + `},"id":"mine","name":"inngest/function.invoked","ts":1700000000000}`},
		"name is not":  {`{"name":7}`, `{"data":` + target + `},"id":"01JQDAE4RQF8MBCR55T5AK4KXR","name":"inngest/function.invoked","ts":1795644690291}`},
		"sessions":     {`{"meta":{"sessions":{"a":1}}}`, `{"data":` + target + `},"id":"01JQDAE4RQF8MBCR55T5AK4KXR","meta":{"sessions":{"a":"1"}},"name":"inngest/function.invoked","ts":1795644690291}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			published := &store{}
			id, err := newIngester(t, Config{Publisher: published}).Invoke(t.Context(), "app-fn", []byte(test.body), seed)
			require.NoError(t, err)
			require.Equal(t, "01JQDAE4RQF8MBCR55T5AK4KXR", id.String())
			require.Equal(t, []string{test.want}, published.events)
		})
	}
}

func TestRefusedInvocations(t *testing.T) {
	t.Parallel()
	in := newIngester(t, Config{Publisher: &store{err: errors.New("no leader")}})
	tests := map[string]error{
		``: ErrInvokeBody, `null`: ErrInvokeBody, `[]`: ErrInvokeBody, `{`: ErrInvokeBody, `{}{}`: ErrInvokeBody, `{"data":1}`: ErrInvokeBody,
		`{"ts":1}`: ErrInvokeEvent, `{"meta":{"sessions":{"a":true}}}`: ErrInvokeEvent,
		`{"data":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`: ErrInvokeEvent,
	}
	for event, want := range tests {
		_, err := in.Invoke(t.Context(), "s", []byte(event), "")
		require.ErrorIs(t, err, want, "%.40s", event)
	}
	_, err := in.Invoke(t.Context(), "s", []byte(`{}`), "")
	require.ErrorContains(t, err, "no leader")
}
