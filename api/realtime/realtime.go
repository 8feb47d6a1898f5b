// Package realtime owns /v1/realtime (http-api §11): apps publish messages on a
// topic of a channel, and browsers that hold a token for the topic receive them
// at once, over a WebSocket or as server-sent events.
//
// Messages travel over core NATS, so publisher and subscriber need not be
// connected to the same process. Nothing is stored: who is not subscribed when
// a message is published never sees it. The package guarantees that a message
// is delivered at most once and, of one publisher and topic, in order; that a subscriber
// who does not keep up is cut off with a reason instead of holding up anybody
// else, and that a token opens the topics it names and no others. It must not
// touch runs.
package realtime

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"jetstep/executor/signing"
)

// Broker carries messages between processes; see bus.Bus.
type Broker interface {
	// PublishRealtime sends a message to whoever is subscribed. The error
	// wraps bus.ErrTooLarge if that is why.
	PublishRealtime(subject string, message []byte) error
	// SubscribeRealtime calls deliver, which does not block, with each message
	// in order until stop is called.
	SubscribeRealtime(subject string, deliver func(message []byte)) (stop func(), err error)
	// FlushRealtime returns when subscriptions made before are in place.
	FlushRealtime(ctx context.Context) error
}

// How the server treats connections (http-api §11).
const (
	heartbeat    = 15 * time.Second
	maxFailed    = 3 // heartbeats without an answer
	sseLifetime  = 15 * time.Minute
	writeTimeout = 10 * time.Second
)

// Config is what a Server needs.
type Config struct {
	Broker Broker
	// SigningKeys authorize publishers and make tokens secret, with the first
	// one for new tokens. Without any, which only dev mode allows, everybody
	// may publish and the tokens' secret is the well-known one.
	SigningKeys []string
	Logger      *slog.Logger     // default: none
	Now         func() time.Time // default: time.Now
}

// Server answers the requests of publishers and subscribers. Its methods are
// safe for concurrent use. It is a prometheus.Collector.
type Server struct {
	cfg    Config
	log    *slog.Logger
	tokens tokens
	hub    *hub
	conns  connections
	counts counts

	heartbeat   time.Duration
	sseLifetime time.Duration
}

// New makes a Server. It needs to be closed.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, tokens: newTokens(cfg.SigningKeys, cfg.Now), hub: newHub(cfg.Broker),
		heartbeat: heartbeat, sseLifetime: sseLifetime,
	}
	s.conns.init()
	return s
}

// Drain tells the subscribers that the server is about to end, and takes no
// new ones. Those that are there still receive messages until Close.
func (s *Server) Drain() { s.conns.drain(s.cfg.Now()) }

// Close ends all connections in good order, and returns when that is done or
// ctx ends, by when it has cut them off.
func (s *Server) Close(ctx context.Context) { s.conns.close(ctx) }

// access is what a request may do.
type access struct {
	claims *Claims // of a valid token; nil if the request has none
	keyed  bool    // it has the signing key, or there is none
}

// access looks for a token first, then for the signing key. A token in the
// query counts only if the header holds none.
func (s *Server) access(r *http.Request) access {
	header := r.Header.Get("Authorization")
	bearer := signing.Bearer(header)
	token := bearer
	if len(header) <= len("Bearer x") {
		token = r.URL.Query().Get("token")
	}
	if claims, err := s.tokens.verify(token); err == nil {
		return access{claims: claims}
	}
	return access{keyed: signing.Authorized(bearer, s.cfg.SigningKeys...)}
}

// problem is the body of an error (http-api §3).
type problem struct {
	Message string `json:"error"`
	Data    any    `json:"data"`
	Status  int    `json:"status"`
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, status int, message string) {
	s.answer(w, status, problem{Message: message, Status: status})
}

// refuseStranger answers a request that has neither a token nor the key.
func refuseStranger(w http.ResponseWriter) {
	http.Error(w, "Authentication failed", http.StatusUnauthorized)
}

func (s *Server) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("a client did not take its answer", "error", err)
	}
}
