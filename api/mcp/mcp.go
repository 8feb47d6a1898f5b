// Package mcp serves the Model Context Protocol at /mcp (http-api §15): tools
// with which AI clients send events, start functions, look at runs and read the
// documentation.
//
// It owns the tools' names, arguments and results. Most are one call of REST v2
// each, made within the process, so that what they answer is what that API
// answers; the others send an event and follow the runs of it by the same calls.
// It guarantees that a tool which waits ends with its timeout, its session or
// the server. Who may use it is decided by whoever mounts the handler, for all
// tools alike; it must not read or change anything but through its contracts.
package mcp

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/oklog/ulid/v2"

	v2 "jetstep/api/v2"
	"jetstep/bus"
)

// Events takes events in; see ingest.Ingester.
type Events interface {
	// Send stores an event. An error that wraps ingest.ErrRefused says what is
	// wrong with it.
	Send(ctx context.Context, event []byte) (ulid.ULID, error)
	// Invoke stores the event that starts a function, and returns its id.
	Invoke(ctx context.Context, slug string, body []byte, seed string) (ulid.ULID, error)
}

// Catalog shows what is registered; see bus.Registry.
type Catalog interface {
	Catalog() *bus.Catalog
}

// Config is what a Server needs.
type Config struct {
	REST    http.Handler // version 2 of the REST API, which asks for no key
	Events  Events
	Catalog Catalog
	Docs    fs.FS  // the documentation: files *.md
	Version string // of this server
	// Trusted says that callers have shown a key. Without one the Host of a
	// request to a local address must be local, since any page in a browser on
	// this machine could reach the server by a name of its own otherwise.
	Trusted bool
	Logger  *slog.Logger // default: none
}

// sessionTimeout is how long a session lives without requests.
const sessionTimeout = 30 * time.Minute

// Server answers MCP clients.
type Server struct {
	cfg     Config
	log     *slog.Logger
	routes  map[string]v2.Tool // of the tools that are one, by their names
	handler http.Handler
	closing context.Context
	close   context.CancelFunc
}

// New makes a Server. It needs to be closed.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.closing, s.close = context.WithCancel(context.Background())
	tools := mcp.NewServer(
		&mcp.Implementation{Name: "jetstep", Title: "Jetstep MCP tools", Version: cfg.Version},
		&mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{
			//lint:ignore SA1019 clients have always been told of it (http-api §15)
			Logging: &mcp.LoggingCapabilities{},
			Tools:   &mcp.ToolCapabilities{}, // they are always the same
		}},
	)
	s.addEventTools(tools)
	s.addRunTools(tools)
	s.addDocTools(tools)
	s.addRESTTools(tools)
	s.handler = mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return tools },
		&mcp.StreamableHTTPOptions{
			JSONResponse: true, SessionTimeout: sessionTimeout, Logger: s.log, DisableLocalhostProtection: cfg.Trusted,
		},
	)
	return s
}

// ServeHTTP answers a request to /mcp.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	s.handler.ServeHTTP(w, r.WithContext(ctx))
}

// Close ends the requests of clients that wait for something.
func (s *Server) Close() { s.close() }

// result is what a tool answers: value as structured content and as text.
type result = *mcp.CallToolResult

// failed is a result that tells what went wrong, for the client's model to read.
func failed(message string) result {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: message}}}
}
