// Package otlp owns the routes to which SDKs export spans of user code, as
// OpenTelemetry does it over HTTP (http-api §13, §7): what is read of a request,
// how large it may be, and what is answered.
//
// It guarantees that spans which it says to have taken are durable, and that
// an export is stored whole or answered with an error after which the exporter
// sends it again: spans have ids, and a repeated one makes no second row. It
// must not know what the spans become; history/userland does.
package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"

	"jetstep/history/userland"
)

// Publisher stores accepted spans; see bus.Bus.
type Publisher interface {
	// PublishTraces returns when the message is durable.
	PublishTraces(ctx context.Context, message []byte) error
}

// Config is what a Server needs.
type Config struct {
	Publisher Publisher
	Logger    *slog.Logger          // default: none
	Metrics   prometheus.Registerer // default: none
}

// Server answers exporters. Its methods are safe for concurrent use.
type Server struct {
	publisher Publisher
	log       *slog.Logger
	spans     *prometheus.CounterVec
}

// New makes a Server. It fails if a metric is registered already.
func New(cfg Config) (*Server, error) {
	s := &Server{publisher: cfg.Publisher, log: cfg.Logger, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jetstep_userland_spans_total", Help: "Spans of user code that SDKs exported, by what became of them",
	}, []string{"outcome"})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, outcome := range []string{outcomeTaken, outcomeRejected} {
		s.spans.WithLabelValues(outcome) // shown as 0 until it occurs
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(s.spans); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const (
	outcomeTaken    = "taken"
	outcomeRejected = "rejected" // without what says where they belong
)

// messageSize is about how much of an export is stored in one message, in bytes.
const messageSize = 512 << 10

// refusal is an error whose text is meant for the client.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

// Why an export is not taken (http-api §13).
var (
	errTooLarge   = &refusal{http.StatusRequestEntityTooLarge, "Request body too large"}
	errUnreadable = &refusal{http.StatusBadRequest, "Error reading body"}
	errInvalid    = &refusal{http.StatusBadRequest, "Invalid payload"}
	errEncoding   = &refusal{http.StatusUnsupportedMediaType, "Unsupported content encoding"}
	errNotStored  = &refusal{http.StatusServiceUnavailable, "Unable to store spans"}
)

// refusalOf is the refusal that an error is.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{http.StatusInternalServerError, "Internal error"}
}

// Userland is POST /v1/traces/userland. Errors are a google.rpc.Status, which
// has no more than a message.
func (s *Server) Userland(w http.ResponseWriter, r *http.Request) {
	form := protobufForm
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		form = jsonForm
	}
	rejected, err := s.take(w, r, form)
	if err != nil {
		why := refusalOf(err)
		s.answer(w, r, form, why.status, &status.Status{Message: why.message})
		return
	}
	body := &collector.ExportTraceServiceResponse{}
	if rejected > 0 {
		body.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: int64(rejected)}
	}
	s.answer(w, r, form, http.StatusOK, body)
}

// Dev is POST /dev/traces, where older SDKs send the same. Nothing is answered
// but errors, and those as the other routes do (http-api §3).
func (s *Server) Dev(w http.ResponseWriter, r *http.Request) {
	contentType := r.Header.Get("Content-Type")
	form := protobufForm
	switch media, _, _ := mime.ParseMediaType(contentType); media { // "" when it is none
	case "application/x-protobuf":
	case "application/json":
		form = jsonForm
	default:
		s.refuse(w, &refusal{http.StatusBadRequest, "unable to handle unknown content type for traces: " + contentType})
		return
	}
	if _, err := s.take(w, r, form); err != nil {
		s.refuse(w, refusalOf(err))
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) refuse(w http.ResponseWriter, why *refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(why.status)
	err := json.NewEncoder(w).Encode(struct {
		Message string `json:"error"`
		Data    any    `json:"data"`
		Status  int    `json:"status"`
	}{why.message, nil, why.status})
	if err != nil {
		s.log.Debug("an exporter did not take its answer", "error", err)
	}
}

// take stores the spans of a request, and tells how many it rejected.
func (s *Server) take(w http.ResponseWriter, r *http.Request, in form) (rejected int, err error) {
	body, err := read(w, r)
	if err != nil {
		return 0, err
	}
	resources, err := in.decode(body)
	if err != nil {
		return 0, errInvalid
	}
	messages, rejected, err := userland.Accept(resources, messageSize)
	if err != nil {
		return 0, errInvalid
	}
	for _, message := range messages {
		if err := s.publisher.PublishTraces(r.Context(), message); err != nil {
			s.log.Error("spans of user code were not stored", "error", err)
			return 0, errNotStored
		}
	}
	s.spans.WithLabelValues(outcomeTaken).Add(float64(count(resources) - rejected))
	s.spans.WithLabelValues(outcomeRejected).Add(float64(rejected))
	return rejected, nil
}

func count(resources []*traces.ResourceSpans) (spans int) {
	for _, r := range resources {
		for _, scope := range r.GetScopeSpans() {
			spans += len(scope.GetSpans())
		}
	}
	return spans
}
