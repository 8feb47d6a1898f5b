package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Mode is a way to run jetstep.
type Mode string

// The modes (cli-config §5, §6). Only ModeStart asks for keys.
const (
	ModeDev   Mode = "dev"
	ModeStart Mode = "start"
)

// ServerConfig says how to run a server.
type ServerConfig struct {
	Binary     string
	Mode       Mode
	Dir        string   // working directory and HOME; data ends up below it
	Port       int      // 0: a free one
	SDKURLs    []string // serve endpoints of apps, for --sdk-url
	SigningKey string   // ModeStart only
	EventKey   string   // ModeStart only
	Args       []string // further options
}

// Server is a running jetstep.
type Server struct {
	*Process
	config ServerConfig
	url    string
}

// StartServer starts jetstep and waits until it answers. In dev mode it may
// move to another port than the one asked for; [Server.URL] is the real one.
// When ctx ends before, the process is killed.
func StartServer(ctx context.Context, c ServerConfig) (*Server, error) {
	if c.Port == 0 {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		c.Port = port
	}
	s := &Server{config: c}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Restart starts the server again after it has ended, on the same port and
// data. Its log starts anew.
func (s *Server) Restart(ctx context.Context) error { return s.start(ctx) }

func (s *Server) start(ctx context.Context) error {
	c := s.config
	process, err := Start(Command{
		Name: "jetstep " + string(c.Mode),
		Path: c.Binary,
		Args: c.arguments(),
		Dir:  c.Dir,
		Env:  Environment(c.Dir),
	})
	if err != nil {
		return err
	}
	s.Process = process
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

func (c ServerConfig) arguments() []string {
	args := []string{
		string(c.Mode), "--host", "127.0.0.1", "--port", strconv.Itoa(c.Port),
		"--retry-interval", "1", "--poll-interval", "1",
	}
	switch c.Mode {
	case ModeDev:
		args = append(args, "--no-discovery")
	case ModeStart:
		args = append(args, "--signing-key", c.SigningKey, "--event-key", c.EventKey)
	}
	for _, url := range c.SDKURLs {
		args = append(args, "--sdk-url", url)
	}
	return append(args, c.Args...)
}

func (s *Server) awaitReady(ctx context.Context) error {
	url, err := Await(ctx, "the server's address in its log", func(context.Context) (string, error) {
		if err := s.Exited(); err != nil {
			return "", Permanent(err)
		}
		for _, line := range s.Log().Lines() {
			if url, ok := listenURL(line); ok {
				return url, nil
			}
		}
		return "", errors.New("not logged")
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.Log().Tail(20))
	}
	s.url = url
	_, err = Await(ctx, "the server's health", func(ctx context.Context) (struct{}, error) {
		if err := s.Exited(); err != nil {
			return struct{}{}, Permanent(err)
		}
		return struct{}{}, s.Client().Health(ctx)
	})
	return err
}

// listenURL reads the server's base URL from the log record that tells on
// which address the API listens (cli-config §3).
func listenURL(line string) (string, bool) {
	var record struct {
		Message string `json:"msg"`
		Caller  string `json:"caller"`
		Address string `json:"addr"`
	}
	if json.Unmarshal([]byte(line), &record) != nil ||
		record.Message != "starting server" || record.Caller != "api" {
		return "", false
	}
	_, port, err := net.SplitHostPort(record.Address)
	if err != nil {
		return "", false
	}
	return "http://127.0.0.1:" + port, true
}

// URL is the base URL of the API, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Config is how the server was started, with the port filled in.
func (s *Server) Config() ServerConfig { return s.config }

// Client makes a client with the server's own keys.
func (s *Server) Client() *Client {
	return &Client{URL: s.url, SigningKey: s.config.SigningKey, EventKey: s.config.EventKey}
}
