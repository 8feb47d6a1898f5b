package realtime

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// runTokenLife is that of a token that comes with a run: somewhat longer than a
// request to its endpoint usually lasts (sdk-protocol §3.6).
const runTokenLife = 16 * time.Minute

// RunToken lets who has it follow what a run of a durable endpoint streams.
func (s *Server) RunToken(run ulid.ULID) (string, error) {
	return s.tokens.mint([]Topic{runTopic(run.String(), streamTopic)}, runTokenLife)
}
