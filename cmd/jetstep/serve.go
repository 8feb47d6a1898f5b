package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"jetstep/cmd/jetstep/internal/config"
)

// devShutdownTimeout bounds how long dev waits for running steps: a person is
// waiting, and the next dev begins anew anyway (cli-config §13).
const devShutdownTimeout = time.Second

// shutdownGrace is what closing files may take beyond the time for running
// steps, before the process ends regardless.
const shutdownGrace = 500 * time.Millisecond

// service is a running server.
type service interface {
	// URL is where the API answers.
	URL() string
	// Location says in words where data is kept.
	Location() string
	// History says in words where what happened is kept, and whether it cannot
	// be read or written at the moment.
	History() string
	// Draining says in words what is left elsewhere, to be brought to its end; ""
	// when there is nothing of the kind.
	Draining() string
	// KnownApps says in words which apps were registered before.
	KnownApps() []string
	// Failed receives the error of a part that ended on its own.
	Failed() <-chan error
	// Shutdown takes no more work, waits for running steps until ctx ends, and
	// closes everything. Its error wraps context.DeadlineExceeded if steps
	// were left running; they are called again after the next start.
	Shutdown(ctx context.Context) error
}

// serve runs the server that opts describe until ctx ends, which is no error.
// Start-up is announced to out and to the log.
func serve(ctx context.Context, opts config.Options, log *slog.Logger, out io.Writer) (err error) {
	ports, err := openPorts(&opts, log)
	if err != nil {
		return err
	}
	defer ports.close()
	dirs, err := claimDirs(&opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dirs.release()) }()

	svc, err := startServices(ctx, opts, ports.api, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return err
	}
	announce(log, out, opts, svc, dirs.isTemporary(opts.NATS.StoreDir))
	select {
	case <-ctx.Done():
		log.Info("shutting down", "timeout", shutdownTimeout(opts))
		return stop(svc, shutdownTimeout(opts), log)
	case err := <-svc.Failed():
		return errors.Join(err, stop(svc, devShutdownTimeout, log))
	}
}

func shutdownTimeout(opts config.Options) time.Duration {
	if opts.Mode == config.Dev {
		return min(devShutdownTimeout, opts.ShutdownTimeout)
	}
	return opts.ShutdownTimeout
}

// stop ends the service within timeout and a little. Steps that are still
// running then are no error: they are durable.
func stop(svc service, timeout time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- svc.Shutdown(ctx) }()
	late := time.NewTimer(timeout + shutdownGrace)
	defer late.Stop()
	select {
	case err := <-done:
		if errors.Is(err, context.DeadlineExceeded) {
			log.Warn("stopped while steps were running; they are called again after the next start", "timeout", timeout)
			return nil
		}
		if err != nil {
			return fmt.Errorf("shutting down: %w", err)
		}
		log.Info("stopped")
	case <-late.C:
		log.Warn("parts of the server did not stop in time", "timeout", timeout)
	}
	return nil
}
