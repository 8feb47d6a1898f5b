package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"jetstep/cmd/jetstep/internal/config"
)

// services is everything that runs in the process.
type services struct {
	opts   config.Options
	url    string
	http   *http.Server
	failed chan error
}

// startServices opens the parts in the order in which they need each other,
// and returns when all accept work. api is the listener of the HTTP API, which
// is closed by Shutdown. The end of ctx aborts starting; it does not stop a
// service that has started.
func startServices(_ context.Context, opts config.Options, api net.Listener, log *slog.Logger) (service, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":200,"message":"OK"}`)) // a client that left gets nothing
	})
	s := &services{
		opts:   opts,
		url:    publicURL(api.Addr()),
		http:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		failed: make(chan error, 1),
	}
	log.Info("starting server", "caller", "api", "addr", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
	go func() {
		if err := s.http.Serve(api); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return s, nil
}

func (s *services) URL() string { return s.url }

func (s *services) Location() string {
	if s.opts.NATS.Embedded() {
		return "embedded NATS in " + s.opts.NATS.StoreDir
	}
	return "external NATS"
}

func (s *services) Failed() <-chan error { return s.failed }

func (s *services) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // the requests that were left; err says so
	}
	return err
}
