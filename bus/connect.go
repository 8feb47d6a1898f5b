package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// minServer is the oldest NATS whose streams behave as needed
// (jetstream-facts §12, no. 10).
var minServer = [2]int{2, 12}

// apiTimeout bounds one JetStream API request: during a leader election they
// can go unanswered, so a short limit and a retry beat a long wait.
const apiTimeout = 5 * time.Second

// dial opens one connection, to the embedded server or to an external one.
func (b *Bus) dial() (*link, error) {
	var nc *nats.Conn
	var err error
	if b.server != nil {
		opts := []nats.Option{nats.Name("jetstep"), nats.InProcessServer(b.server)}
		if b.cfg.ListenUser != "" {
			opts = append(opts, nats.UserInfo(b.cfg.ListenUser, b.cfg.ListenPassword))
		}
		nc, err = nats.Connect("", opts...)
	} else {
		var opts []nats.Option
		if opts, err = b.cfg.options(); err != nil {
			return nil, err
		}
		nc, err = nats.Connect(strings.Join(b.cfg.URLs, ","), opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, strings.Join(b.cfg.URLs, ","), err)
	}
	var js jetstream.JetStream
	if b.cfg.Domain != "" {
		js, err = jetstream.NewWithDomain(nc, b.cfg.Domain)
	} else {
		js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return &link{nc: nc, js: js}, nil
}

// probe refuses a server that cannot do what is needed, in words.
func (b *Bus) probe(ctx context.Context) error {
	nc := b.control.nc
	var major, minor int
	if _, err := fmt.Sscanf(nc.ConnectedServerVersion(), "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("nats server version %q: %w", nc.ConnectedServerVersion(), err)
	}
	if major < minServer[0] || major == minServer[0] && minor < minServer[1] {
		return fmt.Errorf("nats server %s is too old: %d.%d or newer is needed", nc.ConnectedServerVersion(), minServer[0], minServer[1])
	}
	ctx, cancel := context.WithTimeout(ctx, 2*apiTimeout)
	defer cancel()
	if _, err := b.control.js.AccountInfo(ctx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return fmt.Errorf("nats at %s has JetStream switched off for this account", nc.ConnectedUrlRedacted())
		}
		return fmt.Errorf("jetstream does not answer at %s: %w", nc.ConnectedUrlRedacted(), err)
	}
	b.maxPayload = int(nc.MaxPayload())
	return nil
}
