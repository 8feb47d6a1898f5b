package bus

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// link is one connection with its JetStream context.
type link struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// dial opens one connection, to the embedded server or to an external one.
// lost is called when it breaks; the client then reconnects by itself.
func (b *Bus) dial(lost func(error), more ...nats.Option) (*link, error) {
	opts, err := b.cfg.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, more...)
	if b.server != nil {
		opts = append(opts, nats.InProcessServer(b.server))
	}
	opts = append(opts,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err == nil {
				err = nats.ErrConnectionClosed
			}
			lost(err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Warn("nats connection", "error", err)
		}),
	)
	nc, err := nats.Connect(strings.Join(b.cfg.URLs, ","), opts...)
	if err != nil {
		return nil, b.cfg.connectError(err)
	}
	js, err := newJetStream(nc, b.cfg.Domain)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return &link{nc: nc, js: js}, nil
}

func newJetStream(nc *nats.Conn, domain string) (jetstream.JetStream, error) {
	timeout := jetstream.WithDefaultTimeout(apiTimeout)
	if domain != "" {
		return jetstream.NewWithDomain(nc, domain, timeout)
	}
	return jetstream.New(nc, timeout)
}

// connectError says in one line what was tried, without passwords.
func (c Config) connectError(err error) error {
	if len(c.URLs) == 0 {
		return fmt.Errorf("connect to embedded nats: %w", err)
	}
	where := strings.Join(redacted(c.URLs), ",")
	if errors.Is(err, nats.ErrAuthorization) {
		return fmt.Errorf("%w: %s: %w", ErrUnauthorized, where, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, where, err)
}

// redacted are the URLs without user information.
func redacted(urls []string) []string {
	out := make([]string, len(urls))
	for i, text := range urls {
		out[i] = text
		if !strings.Contains(text, "@") {
			continue
		}
		out[i] = "nats server"
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			u.User = nil
			out[i] = u.String()
		}
	}
	return out
}

// openLogs are the logs whose appends a lost connection ends.
type openLogs struct {
	mu   sync.Mutex
	logs map[*Log]struct{}
}

func (o *openLogs) add(l *Log) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.logs == nil {
		o.logs = map[*Log]struct{}{}
	}
	o.logs[l] = struct{}{}
}

func (o *openLogs) remove(l *Log) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.logs, l)
}

func (o *openLogs) all() []*Log {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]*Log, 0, len(o.logs))
	for l := range o.logs {
		list = append(list, l)
	}
	return list
}
