package appsync

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"jetstep/function"
)

// maxPings is how many apps are pinged at once.
const maxPings = 16

// Run keeps apps in sync until ctx ends: a round at once, then one after each
// interval. A round that fails is logged and made again.
func (s *Syncer) Run(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.Interval)
	defer ticker.Stop()
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("apps could not be polled", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// round adds the apps that are to be synced, and pings those that are due.
func (s *Syncer) round(ctx context.Context) error {
	failed := s.addConfigured(ctx)
	failed = errors.Join(failed, s.discover(ctx))
	errs := make(chan error)
	slots := make(chan struct{}, maxPings)
	var pings sync.WaitGroup
	for _, url := range s.due() {
		pings.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs <- s.Ping(ctx, url)
		})
	}
	go func() {
		pings.Wait()
		close(errs)
	}()
	for err := range errs {
		failed = errors.Join(failed, err)
	}
	return failed
}

// addConfigured makes sure of the configured URLs; each is added once, so that
// a removed app stays removed.
func (s *Syncer) addConfigured(ctx context.Context) error {
	for len(s.toAdd) > 0 {
		if err := s.addPlaceholder(ctx, ConfiguredURL(s.toAdd[0])); err != nil {
			return err
		}
		s.toAdd = s.toAdd[1:]
	}
	return nil
}

// ConfiguredURL is the normal form of an app URL that a person gave
// (cli-config §14): the scheme may be missing.
func ConfiguredURL(url string) string {
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return normalURL(url)
}

// due lists the URLs to ping: of all apps that are served over HTTP, or only
// of those in error.
func (s *Syncer) due() []string {
	var urls []string
	seen := map[string]bool{}
	for _, app := range s.cfg.Registry.Catalog().Apps {
		if app.Method != function.MethodServe || app.URL == "" || seen[app.URL] {
			continue
		}
		if app.Error != "" || s.cfg.PollHealthy {
			seen[app.URL] = true
			urls = append(urls, app.URL)
		}
	}
	return urls
}
