package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"jetstep/history/userland"
)

// kept keeps what is published.
type kept struct {
	messages [][]byte
	err      error
}

func (k *kept) PublishTraces(_ context.Context, message []byte) error {
	if k.err == nil {
		k.messages = append(k.messages, message)
	}
	return k.err
}

const (
	asJSON  = "application/json"
	asProto = "application/x-protobuf"
)

// export has one span that belongs to a run, and one that does not.
func export() string {
	ref := url.QueryEscape(`{"tp":"00-01a214fec454ff453f3d17eeff35bcf4-a1a2a3a4a5a6a7a8-01","ts":""}`)
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"0102030405060708","name":"mine","attributes":[
		{"key":"inngest.traceref","value":{"stringValue":"` + ref + `"}},
		{"key":"sys.function.id","value":{"stringValue":"20be5504-9564-5440-b9c9-15d46067966b"}}]},
		{"spanId":"0102030405060709","name":"loose"}]}]}]}`
}

func inProtobuf(t *testing.T) string {
	t.Helper()
	resources, err := userland.DecodeJSON([]byte(export()))
	require.NoError(t, err)
	body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: resources})
	require.NoError(t, err)
	return string(body)
}

func pack(t *testing.T, body string) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return packed.String()
}

func unpack(t *testing.T, body *bytes.Buffer) string {
	t.Helper()
	r, err := gzip.NewReader(body)
	require.NoError(t, err)
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(all)
}

type call struct {
	body   io.Reader
	header map[string]string
}

func (c call) do(t *testing.T, handler http.HandlerFunc) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", c.body)
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	handler(w, r)
	return w
}

func TestUserland(t *testing.T) {
	t.Parallel()
	partial := "\x0a\x02\x08\x01"
	for name, test := range map[string]struct {
		body, contentType, encoding string
		status                      int
		want                        string
		stored                      int
	}{
		"JSON":                      {export(), asJSON, "", 200, `{"partialSuccess":{"rejectedSpans":"1"}}`, 1},
		"protobuf":                  {inProtobuf(t), asProto, "", 200, partial, 1},
		"no type":                   {inProtobuf(t), "", "identity", 200, partial, 1},
		"packed JSON":               {pack(t, export()), asJSON + "; charset=utf-8", "gzip", 200, `{"partialSuccess":{"rejectedSpans":"1"}}`, 1},
		"packed protobuf":           {pack(t, inProtobuf(t)), asProto, "gzip", 200, partial, 1},
		"nothing":                   {`{"resourceSpans":[]}`, asJSON, "", 200, `{}`, 0},
		"empty protobuf":            {"", asProto, "", 200, "", 0},
		"bad JSON":                  {"{", asJSON, "", 400, `{"message":"Invalid payload"}`, 0},
		"bad protobuf":              {"\x0a\x09ab", asProto, "", 400, "\x12\x0fInvalid payload", 0},
		"not packed":                {"x", asJSON, "gzip", 400, `{"message":"Error reading body"}`, 0},
		"cut off":                   {pack(t, export())[:40], asJSON, "gzip", 400, `{"message":"Error reading body"}`, 0},
		"packed some way":           {"x", asJSON, "zstd", 415, `{"message":"Unsupported content encoding"}`, 0},
		"large JSON":                {strings.Repeat(" ", maxBody+1), asJSON, "", 413, `{"message":"Request body too large"}`, 0},
		"large protobuf":            {strings.Repeat(" ", maxBody+1), asProto, "", 413, "\x12\x16Request body too large", 0},
		"large when it is unpacked": {pack(t, strings.Repeat(" ", maxBody+1)), asJSON, "gzip", 413, `{"message":"Request body too large"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &kept{}
			s, err := New(Config{Publisher: store})
			require.NoError(t, err)
			header := map[string]string{"Content-Type": test.contentType, "Content-Encoding": test.encoding}
			w := call{strings.NewReader(test.body), header}.do(t, s.Userland)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.want, w.Body.String())
			require.Len(t, store.messages, test.stored)
			want := asProto
			if strings.HasPrefix(test.contentType, asJSON) {
				want = asJSON
			}
			require.Equal(t, want, w.Header().Get("Content-Type"))
			for _, m := range store.messages {
				rows, err := userland.Rows(m)
				require.NoError(t, err)
				require.Len(t, rows, 1)
				require.Equal(t, "01M8AFXH2MZX2KYF8QXVZKBF7M", rows[0].RunID.String())
			}
		})
	}
}

func TestPackedAnswer(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Publisher: &kept{}})
	require.NoError(t, err)
	w := call{strings.NewReader("{}"), map[string]string{"Content-Type": asJSON, "Accept-Encoding": "gzip, br"}}.do(t, s.Userland)
	require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
	require.Equal(t, "{}", unpack(t, w.Body))
	w = call{strings.NewReader(""), map[string]string{"Accept-Encoding": "gzip"}}.do(t, s.Userland)
	require.Empty(t, w.Header().Get("Content-Encoding"), "an empty message stays empty")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	store := &kept{err: errors.New("no leader")}
	s, err := New(Config{Publisher: store})
	require.NoError(t, err)
	header := map[string]string{"Content-Type": asJSON}
	w := call{strings.NewReader(export()), header}.do(t, s.Userland)
	require.Equal(t, 503, w.Code, "exporters try again")
	require.Equal(t, `{"message":"Unable to store spans"}`, w.Body.String())
	w = call{iotest.ErrReader(io.ErrUnexpectedEOF), header}.do(t, s.Userland)
	require.Equal(t, 400, w.Code)
	require.Equal(t, `{"message":"Error reading body"}`, w.Body.String())
	require.Equal(t, 500, refusalOf(errors.New("some other")).status)
}

func TestDev(t *testing.T) {
	t.Parallel()
	store := &kept{}
	s, err := New(Config{Publisher: store})
	require.NoError(t, err)
	for contentType, body := range map[string]string{asJSON: export(), asProto: inProtobuf(t)} {
		store.messages = nil
		w := call{strings.NewReader(body), map[string]string{"Content-Type": contentType}}.do(t, s.Dev)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
		require.Len(t, store.messages, 1)
	}
	w := call{strings.NewReader("x"), map[string]string{"Content-Type": "text/plain"}}.do(t, s.Dev)
	require.Equal(t, 400, w.Code)
	require.Equal(t, `{"error":"unable to handle unknown content type for traces: text/plain","data":null,"status":400}`+"\n", w.Body.String())
	w = call{strings.NewReader("x"), map[string]string{"Content-Type": asJSON}}.do(t, s.Dev)
	require.Equal(t, 400, w.Code)
	require.Equal(t, `{"error":"Invalid payload","data":null,"status":400}`+"\n", w.Body.String())
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s, err := New(Config{Publisher: &kept{}, Metrics: registry})
	require.NoError(t, err)
	_, err = New(Config{Publisher: &kept{}, Metrics: registry})
	require.Error(t, err, "it is registered already")
	call{strings.NewReader(export()), map[string]string{"Content-Type": asJSON}}.do(t, s.Userland)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "jetstep_userland_spans_total", families[0].GetName())
	for _, metric := range families[0].GetMetric() {
		require.EqualValues(t, 1, metric.GetCounter().GetValue(), metric.GetLabel())
	}
	require.Len(t, families[0].GetMetric(), 2)
}
