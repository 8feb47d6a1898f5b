package appsync

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"jetstep/function"
)

// ErrURL is returned for what cannot be the URL of an app.
var ErrURL = errors.New("the URL of an app begins with http:// or https://")

// AppError is the error of an app that was asked to register and did not.
type AppError struct{ Reason string }

// Error is the reason alone, which clients are shown (graphql §7).
func (e *AppError) Error() string { return e.Reason }

// Add makes the app at a URL register, whose scheme may be missing, and returns
// its id. It fails with ErrURL, or with an AppError: then an app of which only
// the URL is known has been added, and is asked again.
func (s *Syncer) Add(ctx context.Context, at string) (uuid.UUID, error) {
	at, err := s.reachableURL(at)
	if err != nil {
		return uuid.UUID{}, err
	}
	if err := s.addPlaceholder(ctx, at); err != nil {
		return uuid.UUID{}, err
	}
	if err := s.Ping(ctx, at); err != nil {
		return uuid.UUID{}, err
	}
	reason := errUnreachable
	for _, app := range s.cfg.Registry.Catalog().AppsByURL(at) {
		if app.Error == "" {
			return app.ID, nil
		}
		reason = app.Error
	}
	return uuid.UUID{}, &AppError{reason}
}

// Move changes the URL of an app and asks it to register from there. Why it
// does not is on the app. It fails with ErrURL or ErrAppNotFound.
func (s *Syncer) Move(ctx context.Context, app uuid.UUID, to string) error {
	to, err := s.reachableURL(to)
	if err != nil {
		return err
	}
	err = s.change(ctx, app, func(app *function.App) {
		// Without a checksum its next registration counts as another one.
		app.URL, app.Checksum = to, ""
	})
	if err != nil {
		return err
	}
	return s.Ping(ctx, to)
}

// Archive takes an app out of use. It fails with ErrAppNotFound.
func (s *Syncer) Archive(ctx context.Context, app uuid.UUID) error {
	return s.change(ctx, app, func(app *function.App) { app.ArchivedAt, app.Checksum = time.Now(), "" })
}

// change changes an active app.
func (s *Syncer) change(ctx context.Context, id uuid.UUID, change func(*function.App)) error {
	found := false
	_, err := s.cfg.Registry.Update(ctx, id, func(old *function.App) (*function.App, error) {
		if found = isActive(old); !found {
			return nil, nil
		}
		app := *old
		change(&app)
		return &app, nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("change app %s: %w", id, err)
	case !found:
		return fmt.Errorf("%w: %s", ErrAppNotFound, id)
	}
	return nil
}

// reachableURL is the normal form of a URL that a person gave.
func (s *Syncer) reachableURL(text string) (string, error) {
	normal := ConfiguredURL(text)
	parsed, err := url.Parse(normal)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("%w: %q", ErrURL, text)
	}
	return normal, nil
}

// Discovered tells whether this process found the app of that URL by looking
// at local ports.
func (s *Syncer) Discovered(at string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found[normalURL(at)]
}

// discoveredAt remembers where an app was found.
func (s *Syncer) discoveredAt(at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[at] = true
}
