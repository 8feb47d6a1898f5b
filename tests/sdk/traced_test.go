package sdk_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"jetstep/tests/harness"
)

const (
	senderTrace = "0af7651916cd43dd8448eb211c80319c"
	senderSpan  = "b7ad6b7169203331"

	tracedTimeout = time.Minute // of each client's part
)

// TestExtendedTraces: spans that the SDK exports of user code are shown below
// the step that they were made in; and a collector gets the trace of the run, in
// that of whoever sent the event.
func TestExtendedTraces(t *testing.T) {
	t.Parallel()
	exported := make(chan []*otlp.Span, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &export) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, resource := range export.GetResourceSpans() {
			exported <- resource.GetScopeSpans()[0].GetSpans()
		}
	}))
	t.Cleanup(receiver.Close)
	d := ownDeployment(t, deploymentConfig{mode: harness.ModeDev, args: []string{"--otlp-endpoint", receiver.URL}})
	for checkpointing, id := range map[string]string{"off": "traced", "on": "traced-checkpoint"} {
		ctx, cancel := context.WithTimeout(t.Context(), tracedTimeout)
		defer cancel()
		url := startTraced(t, d, "APP_ID="+id, "CHECKPOINTING="+checkpointing)
		require.NoError(t, put(ctx, url+"/api/inngest"))
		run := sendTraced(t, ctx, d, id+"/go")
		require.Equal(t, []string{"snapshot", "end"}, streamed(t, ctx, d.server.URL()+"/v1/runs/"+run+"/stream"))

		_, err := harness.Await(ctx, "spans of user code in the trace of "+id, func(ctx context.Context) (struct{}, error) {
			shown, err := userSpans(ctx, d, run)
			if err == nil && (!strings.Contains(shown, "first > query one") || !strings.Contains(shown, "second > query two")) {
				err = errors.New(shown)
			}
			return struct{}{}, err
		})
		require.NoError(t, err)
		requireExported(t, <-exported)
	}
}

// startTraced starts the app, and returns its URL.
func startTraced(t *testing.T, d *deployment, env ...string) string {
	t.Helper()
	path, _, err := nodeApp("ts4")()
	require.NoError(t, err)
	port, err := harness.FreePort()
	require.NoError(t, err)
	app, err := harness.StartApp(t.Context(), harness.AppConfig{
		Name: "traced", Path: path, Args: []string{filepath.Join("ts4", "traced.mjs")}, Home: t.TempDir(), Port: port,
		Env: append(env, "INNGEST_DEV="+d.server.URL()),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = app.Kill() })
	return app.URL()
}

func put(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// sendTraced sends an event from within a trace, and returns the id of its run.
func sendTraced(t *testing.T, ctx context.Context, d *deployment, event string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.server.URL()+"/e/key", strings.NewReader(`{"name":"`+event+`"}`))
	require.NoError(t, err)
	r.Header.Set("Traceparent", "00-"+senderTrace+"-"+senderSpan+"-01")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	var sent struct{ IDs []string }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&sent))
	runs, err := d.server.Client().AwaitRuns(ctx, sent.IDs[0], 1)
	require.NoError(t, err)
	return runs[0].ID
}

// streamed reads a stream until it ends, and returns its first and last event.
func streamed(t *testing.T, ctx context.Context, url string) []string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	var events []string
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			events = append(events, event)
		}
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, events)
	return []string{events[0], events[len(events)-1]}
}

// userSpans lists the spans of a run's trace, as "parent > span".
func userSpans(ctx context.Context, d *deployment, run string) (string, error) {
	root, err := readTrace(ctx, d.server.Client(), run)
	if err != nil {
		return "", err
	}
	var lines []string
	root.visit(func(s, parent *span) { lines = append(lines, parent.Name+" > "+s.Name) })
	return strings.Join(lines, "\n"), nil
}

// span is a span of a run's trace, as far as tests look at it (http-api §14).
type span struct {
	Name     string
	Metadata []struct {
		Kind, Scope string
		Values      map[string]string
	}
	Children []*span
}

// readTrace reads the trace of a run.
func readTrace(ctx context.Context, client *harness.Client, run string) (root *span, err error) {
	var trace struct{ RootSpan *span }
	if err := client.V2(ctx, http.MethodGet, "/runs/"+run+"/trace", nil, &trace); err != nil {
		return nil, err
	}
	if trace.RootSpan == nil {
		return nil, errors.New("no trace yet")
	}
	return trace.RootSpan, nil
}

// visit shows a span and all below it, each with the one above it, which the
// first has not.
func (s *span) visit(show func(s, parent *span)) { s.visitBelow(&span{}, show) }

func (s *span) visitBelow(parent *span, show func(s, parent *span)) {
	show(s, parent)
	for _, child := range s.Children {
		child.visitBelow(s, show)
	}
}

// requireExported wants the spans of a run with two steps.
func requireExported(t *testing.T, spans []*otlp.Span) {
	t.Helper()
	names := map[string]int{}
	var runs []string // the parents of runs
	for _, s := range spans {
		require.Equal(t, senderTrace, hex.EncodeToString(s.GetTraceId()))
		names[s.GetName()]++
		if s.GetKind() == otlp.Span_SPAN_KIND_CONSUMER {
			runs = append(runs, hex.EncodeToString(s.GetParentSpanId()))
		}
	}
	require.Equal(t, []string{senderSpan}, runs)
	require.Equal(t, 1, names["first"])
	require.Equal(t, 1, names["second"])
}
