package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrUnreachable is wrapped by Open's error when the external NATS does not
	// answer.
	ErrUnreachable = errors.New("nats is unreachable")
	// ErrUnauthorized is wrapped by Open's error when it refuses the login.
	ErrUnauthorized = errors.New("nats refuses the login")
	// ErrUnsuitable is wrapped by Open's error when the external NATS cannot do
	// what is needed, or holds streams that are not Jetstep's.
	ErrUnsuitable = errors.New("nats cannot be used")
)

// minServer is the oldest NATS whose streams behave as needed
// (jetstream-facts §12, no. 10).
var minServer = [2]int{2, 12}

// minPayload is the smallest max_payload with which records can be stored in
// parts of a sensible size, in bytes.
const minPayload = 64 << 10

// apiTimeout bounds one JetStream API request.
const apiTimeout = 5 * time.Second

// probe refuses a server that cannot do what is needed, in words.
func (b *Bus) probe(ctx context.Context) error {
	nc := b.control.nc
	where := nc.ConnectedUrlRedacted()
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnsuitable, where, err)
	}
	if err := checkPayload(nc.MaxPayload()); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnsuitable, where, err)
	}
	b.maxPayload = int(nc.MaxPayload())
	_, err := b.control.js.AccountInfo(ctx)
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%w: %s: JetStream is switched off for this account", ErrUnsuitable, where)
	}
	if err != nil {
		return fmt.Errorf("jetstream does not answer at %s: %w", where, err)
	}
	return nil
}

func checkVersion(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("server version %q is no version", version)
	}
	if major < minServer[0] || major == minServer[0] && minor < minServer[1] {
		return fmt.Errorf("server version %s is too old: %d.%d or newer is needed", version, minServer[0], minServer[1])
	}
	return nil
}

func checkPayload(size int64) error {
	if size < minPayload {
		return fmt.Errorf("its max_payload of %d bytes is too small: %d or more is needed", size, minPayload)
	}
	return nil
}
