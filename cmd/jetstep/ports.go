package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"

	"jetstep/cmd/jetstep/internal/config"
)

const maxPort = 65535

// ports are the listeners of the process. They are opened before anything
// else, so that a second server on the same port ends before it touches data.
type ports struct {
	api net.Listener
}

// openPorts listens on the API's port and looks at the one that NATS will
// open. In dev a busy port is replaced by the next free one, in opts too, and
// the change is logged; otherwise it is an error (cli-config §5).
func openPorts(opts *config.Options, log *slog.Logger) (*ports, error) {
	search := opts.Mode == config.Dev
	api, err := listen(opts.Host, opts.Port, search)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on port %d: %w", opts.Port, err)
	}
	reportMove(log, "dev server api", opts.Port, portOf(api))
	opts.Port = portOf(api)
	if opts.NATS.Port == 0 {
		return &ports{api: api}, nil
	}
	// NATS opens its port itself. The API's listener is still open, so the two
	// cannot choose the same.
	nats, err := listen(opts.NATS.ListenHost, opts.NATS.Port, search)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on nats-port %d: %w", opts.NATS.Port, err), api.Close())
	}
	reportMove(log, "nats", opts.NATS.Port, portOf(nats))
	opts.NATS.Port = portOf(nats)
	if err := nats.Close(); err != nil {
		return nil, errors.Join(err, api.Close())
	}
	return &ports{api: api}, nil
}

// close is for ports that no service has taken over; closing one again does
// no harm.
func (p *ports) close() { _ = p.api.Close() }

// listen opens a port, or with search the first free one from there on.
func listen(host string, port int, search bool) (net.Listener, error) {
	for {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil || !search || port == maxPort || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		port++
	}
}

func reportMove(log *slog.Logger, name string, from, to int) {
	if from != 0 && from != to {
		log.Info("Port conflict, using new port", "name", name, "from", from, "to", to)
	}
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// publicURL is an address that a browser on this machine can open.
func publicURL(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() || tcp.IP.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}
