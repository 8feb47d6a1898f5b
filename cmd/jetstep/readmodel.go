package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"jetstep/cmd/jetstep/internal/config"
	"jetstep/history/database"
	"jetstep/migrations"
)

const (
	// openPatience is how long a start waits for the database. What executes
	// runs needs none, so that it then goes on without.
	openPatience = 10 * time.Second
	// An open that failed is tried again, after openPause at first.
	openPause    = time.Second
	openPauseMax = 15 * time.Second
)

// readModel is the SQL database in which people and clients see what happened.
// It may be out of reach for any time, also when the server starts.
type readModel struct {
	store *database.Store
	where string // in words
	log   *slog.Logger

	opened chan struct{} // closed once the schema is up to date
	mu     sync.Mutex
	err    error // of the last try to open it
}

// prepareReadModel fails only for options that can never work.
func prepareReadModel(opts config.Options, log *slog.Logger) (*readModel, error) {
	o := opts.Original
	settings := database.Options{
		URI: o.PostgresURI, Dir: opts.SQLiteDir, Log: log,
		MaxIdle: o.PostgresMaxIdleConns, MaxOpen: o.PostgresMaxOpenConns, IdleTime: o.PostgresMaxIdleTime, MaxLifetime: o.PostgresMaxLifetime,
	}
	store, err := database.New(settings)
	if err != nil {
		return nil, err
	}
	return &readModel{store: store, where: databaseLocation(opts), log: log, opened: make(chan struct{})}, nil
}

// databaseLocation names the database, without a password.
func databaseLocation(opts config.Options) string {
	if opts.SQLite() {
		return "SQLite " + filepath.Join(opts.SQLiteDir, "main.db")
	}
	u, err := url.Parse(opts.Original.PostgresURI)
	if err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL " + u.Host + u.Path
}

// open brings the schema up to date, and tries that until ctx ends. It returns
// once it is, or when it is known that this takes longer; a database that is
// refused then is an error, and one that is down is not.
func (m *readModel) open(ctx context.Context, background *sync.WaitGroup) error {
	first := make(chan error, 1)
	background.Go(func() { m.keepOpening(ctx, first) })
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case err := <-first:
		var refused *migrations.RefusedError
		if errors.As(err, &refused) {
			return fmt.Errorf("%s: %w", m.where, err)
		}
		if err != nil {
			m.log.Error("the history is not available; runs are executed, and shown once it is", "history", m.where, "error", err)
		}
	case <-patience.C:
		m.log.Warn("the history is still being opened; runs are executed meanwhile", "history", m.where)
	}
	return nil
}

// keepOpening migrates until that succeeds or is refused, and takes up what
// servers of the original wrote. The outcome of the first try goes to first.
func (m *readModel) keepOpening(ctx context.Context, first chan<- error) {
	pause := openPause
	for try := 1; ; try++ {
		err := m.store.Migrate(ctx)
		m.mu.Lock()
		m.err = err
		m.mu.Unlock()
		if err == nil {
			close(m.opened)
		}
		if try == 1 {
			first <- err
		}
		var refused *migrations.RefusedError
		switch {
		case err == nil:
			if try > 1 {
				m.log.Info("the history is available", "history", m.where)
			}
			m.takeUp(ctx)
			return
		case errors.As(err, &refused):
			if try > 1 { // else the start fails with it
				m.log.Error("the history cannot be opened", "history", m.where, "error", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause = min(2*pause, openPauseMax)
		}
	}
}

// takeUp makes lists show what servers of the original wrote; an adopted history
// may be long, and is read meanwhile.
func (m *readModel) takeUp(ctx context.Context) {
	runs, err := m.store.TakeUp(ctx)
	if err != nil && ctx.Err() == nil {
		m.log.Error("runs of an older history may be missing in lists until the next start", "history", m.where, "error", err)
	} else if runs > 0 {
		m.log.Info("runs of an older history have been taken up", "history", m.where, "runs", runs)
	}
}

// problem says why the database cannot be used, nil when it has been opened.
func (m *readModel) problem() error {
	select {
	case <-m.opened:
		return nil
	default:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	return errors.New("it is being opened")
}

func (m *readModel) close() error { return m.store.Close() }
