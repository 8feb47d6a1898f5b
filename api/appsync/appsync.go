// Package appsync owns how apps become known: it takes their registrations,
// asks known URLs to register (pings), looks for apps on local ports, and
// records on an app why it cannot be synced (sdk-protocol §5, cli-config §14).
//
// It guarantees that an app's functions change only as a whole and only to
// validated ones, and that whatever keeps an app from syncing is on the app and
// was logged once. It keeps no state of its own but what the last pings found;
// the registry is the truth. It does not authenticate callers.
package appsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"jetstep/bus"
	"jetstep/function"
)

// Registry stores apps.
type Registry interface {
	Catalog() *bus.Catalog
	// Update changes one app by compare-and-set, see bus.Registry.
	Update(ctx context.Context, id uuid.UUID, change func(old *function.App) (*function.App, error)) (*function.App, error)
}

// Config says which apps are looked for and how.
type Config struct {
	Registry Registry
	// Kind is what the server calls itself: "dev", or "cloud" in start mode.
	Kind string
	// SigningKeys are the key that requests to apps are signed with, and others
	// that an app may sign with. None means that nothing is signed.
	SigningKeys []string
	// URLs are apps to sync from the start; a scheme may be missing.
	URLs []string
	// PollHealthy asks apps without an error again and again, too.
	PollHealthy bool
	// Interval is the pause between two rounds; default DefaultInterval.
	Interval time.Duration
	// Discover looks for an app on local ports as long as none is known.
	Discover bool
	// Ports are looked at beside the usual ones.
	Ports []int
	// RegistrationWait is how long after an app's good answer its registration
	// may still become known; default DefaultRegistrationWait.
	RegistrationWait time.Duration

	Client *http.Client // default: one with PingTimeout
	Logger *slog.Logger // default: none
	// Dial connects to a local port; default: net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// The times of cli-config §14.
const (
	DefaultInterval = 5 * time.Second
	PingTimeout     = 10 * time.Second
)

// DefaultRegistrationWait is long enough for a registration with another node
// to show in this node's catalog.
const DefaultRegistrationWait = 2 * time.Second

// Syncer keeps apps in sync with their SDKs.
type Syncer struct {
	cfg Config
	log *slog.Logger

	// Only rounds use these.
	toAdd      []string // configured URLs that are not in the registry yet
	discovered bool     // discovery has ended

	mu sync.Mutex
	// registrations counts those that came from each normalised app URL, so
	// that a ping can tell whether it had one as a consequence.
	registrations map[string]int
	told          map[uuid.UUID]string // the error of an app that was last logged
	found         map[string]bool      // URLs of discovered apps
}

// New makes a Syncer. It does nothing by itself until Run.
func New(cfg Config) *Syncer {
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.RegistrationWait <= 0 {
		cfg.RegistrationWait = DefaultRegistrationWait
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: PingTimeout}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	return &Syncer{cfg: cfg, log: cfg.Logger, toAdd: cfg.URLs, registrations: map[string]int{}, told: map[uuid.UUID]string{},
		found: map[string]bool{}}
}

// ErrAppNotFound is returned by Remove.
var ErrAppNotFound = errors.New("app not found")

// Remove archives the apps of that URL. It fails with ErrAppNotFound if there
// is none.
func (s *Syncer) Remove(ctx context.Context, url string) error {
	apps := s.cfg.Registry.Catalog().AppsByURL(normalURL(url))
	if len(apps) == 0 || url == "" { // apps without a URL are not meant
		return fmt.Errorf("%w: %s", ErrAppNotFound, url)
	}
	for _, app := range apps {
		if err := s.archive(ctx, app.ID); err != nil {
			return err
		}
		s.log.Info("app removed", "app", app.Name, "url", app.URL)
	}
	return nil
}

// archive takes an app out of use, if it is in use. Its functions stay with it,
// so that they keep their ids if it comes back; its checksum does not, so that
// it can.
func (s *Syncer) archive(ctx context.Context, id uuid.UUID) error {
	err := s.Archive(ctx, id)
	if errors.Is(err, ErrAppNotFound) {
		return nil
	}
	return err
}

// addPlaceholder makes an app of which only the URL is known, unless there is
// one with that URL.
func (s *Syncer) addPlaceholder(ctx context.Context, url string) error {
	if len(s.cfg.Registry.Catalog().AppsByURL(url)) > 0 {
		return nil
	}
	_, err := s.cfg.Registry.Update(ctx, function.AppID(url), func(old *function.App) (*function.App, error) {
		if isActive(old) {
			return nil, nil
		}
		return &function.App{URL: url, Method: function.MethodServe, Error: errUnreachable, CreatedAt: time.Now(), Functions: []function.Function{}}, nil
	})
	if err != nil {
		return fmt.Errorf("add app %s: %w", url, err)
	}
	return nil
}

// dropPlaceholders archives the nameless apps of that URL.
func (s *Syncer) dropPlaceholders(ctx context.Context, url string) error {
	for _, app := range s.cfg.Registry.Catalog().AppsByURL(url) {
		if app.Name == "" {
			if err := s.archive(ctx, app.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// normalURL is an app's URL as it is stored and compared. The Go SDK registers
// URLs that end in a bare "?", and would not be known by them otherwise.
func normalURL(url string) string {
	return strings.TrimSuffix(function.NormalizeURL(url, false), "?")
}

func isActive(app *function.App) bool { return app != nil && app.ArchivedAt.IsZero() }

// registered counts a registration from the URL.
func (s *Syncer) registered(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registrations[url]++
}

// registrationsFrom is how many registrations came from the URL so far.
func (s *Syncer) registrationsFrom(url string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registrations[url]
}
