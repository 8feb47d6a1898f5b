package v2

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetstep/history/view"
)

// Config is what the API is made of.
type Config struct {
	Reader   Reader
	Commands Commands
	Attach   Attacher
	Keys     Keys
	Log      *slog.Logger     // nil for none
	Now      func() time.Time // nil for time.Now
}

// Keys are the configured keys in clear, which their owner can read back; none
// in development.
type Keys struct {
	Signing []string
	Event   []string
}

// server answers requests. Its handlers return what to answer, or an error.
type server struct {
	Config
	routes []route
}

// New makes the handler of all routes; paths begin behind /v2 or /api/v2, for
// which there is no difference.
func New(config Config) http.Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Config: config}
	s.routes = s.table()
	return s
}

// prefixes are where the API is mounted.
var prefixes = []string{"/api/v2", "/v2"}

// ServeHTTP finds the route and writes its answer.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			path = rest
			break
		}
	}
	handle, args := s.match(r.Method, path)
	if handle == nil {
		s.refuse(w, args.problem)
		return
	}
	answer, err := handle(r, args.values)
	if err != nil {
		s.refuse(w, s.problemOf(r, err))
		return
	}
	answer.Metadata.set("fetchedAt", stamp(s.Now()))
	if answer.cache != "" {
		w.Header().Set("Cache-Control", answer.cache)
	}
	s.write(w, cmp.Or(answer.status, http.StatusOK), answer)
}

// answer is a success. Its JSON has the keys in alphabetical order.
type answer struct {
	Data     any    `json:"data,omitempty"`
	Metadata object `json:"metadata"`
	Page     object `json:"page,omitempty"`

	status int    // of HTTP; 0 for 200
	cache  string // how long it may be kept, as a header; empty for not said
}

func single(data any) (*answer, error) {
	return &answer{Data: data, Metadata: object{}}, nil
}

// listing is a page. After is the cursor of its last row, empty for none.
func listing(items []object, after string, more bool, limit int) *answer {
	a := &answer{Metadata: object{}, Page: object{}}
	if len(items) > 0 {
		a.Data = items
	}
	if more {
		a.Page.set("cursor", after)
	}
	a.Page.set("hasMore", more)
	a.Page.set("limit", limit)
	return a
}

// problem is an error as clients see it (http-api §14).
type problem struct {
	status        int
	code, message string
}

func (p *problem) Error() string { return p.message }

func invalid(message string) error {
	return &problem{http.StatusBadRequest, "invalid_field_format", message}
}

func missing(message string) error {
	return &problem{http.StatusNotFound, "not_found", message}
}

// problemOf keeps errors from clients that are not meant for them.
func (s *server) problemOf(r *http.Request, err error) *problem {
	var public *problem
	if errors.As(err, &public) {
		return public
	}
	if errors.Is(err, view.ErrUnavailable) {
		s.Log.Debug("the history could not be read", "path", r.URL.Path, "error", err) // who writes it tells of an outage, once
		return &problem{http.StatusServiceUnavailable, "internal_error", view.ErrUnavailable.Error()}
	}
	s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return &problem{http.StatusInternalServerError, "internal_error", "Internal error"}
}

func (s *server) refuse(w http.ResponseWriter, p *problem) {
	s.write(w, p.status, map[string]any{"errors": []object{{"code": p.code, "message": p.message}}})
}

func (s *server) write(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.Log.Error("answer could not be written", "error", err)
		http.Error(w, "Internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

// catalog is what is registered, in the order of ids.
type catalog struct {
	apps      []view.App
	functions []view.Function
}

func (s *server) catalog(r *http.Request) (*catalog, error) {
	apps, err := s.Reader.Apps(r.Context())
	if err != nil {
		return nil, err
	}
	functions, err := s.Reader.Functions(r.Context())
	if err != nil {
		return nil, err
	}
	c := &catalog{apps: slices.Clone(apps), functions: slices.Clone(functions)}
	slices.SortFunc(c.apps, func(a, b view.App) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	slices.SortFunc(c.functions, func(a, b view.Function) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return c, nil
}

func (c *catalog) app(id uuid.UUID) (view.App, bool) {
	i := slices.IndexFunc(c.apps, func(app view.App) bool { return app.ID == id })
	if i < 0 {
		return view.App{}, false
	}
	return c.apps[i], true
}

// find looks for an app that is not archived by name or id.
func (c *catalog) find(nameOrID string) (view.App, bool) {
	for _, app := range c.apps {
		if !app.Archived && (app.Name == nameOrID && app.Name != "" || app.ID.String() == nameOrID) {
			return app, true
		}
	}
	return view.App{}, false
}

func (c *catalog) function(id uuid.UUID) (view.Function, bool) {
	i := slices.IndexFunc(c.functions, func(f view.Function) bool { return f.ID == id })
	if i < 0 {
		return view.Function{}, false
	}
	return c.functions[i], true
}

// live are the functions of an app that are not archived.
func (c *catalog) live(app uuid.UUID) []view.Function {
	var own []view.Function
	for _, f := range c.functions {
		if f.AppID == app && !f.Archived {
			own = append(own, f)
		}
	}
	return own
}
