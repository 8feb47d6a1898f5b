package runs

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

//go:embed lua/save_endpoint.lua
var textSaveEndpoint string

var scriptSaveEndpoint = redis.NewScript(textSaveEndpoint)

// SaveEndpoint says what has become of a run that its app began. It tells whether
// there is one.
func (s *Store) SaveEndpoint(ctx context.Context, run ulid.ULID, e *format.Endpoint) (exists bool, err error) {
	text, err := e.Encode()
	if err != nil {
		return false, err
	}
	keys := []string{format.MetadataKey(run)}
	code, err := scriptSaveEndpoint.Run(ctx, s.redis, keys, format.FieldEndpoint, text).Int()
	if err != nil {
		return false, fmt.Errorf("save the endpoint of run %s: %w", run, err)
	}
	return code == 0, nil
}
