package trace

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"

	"github.com/oklog/ulid/v2"
)

// NoParent is the parent id of a run's span and of its extensions.
const NoParent = "0000000000000000"

// ID is the deterministic identity of a span, in lower-case hex.
type ID struct {
	Trace string // 32 characters
	Span  string // 16 characters
}

// RunID identifies the span of a run; its Trace is that of all spans of the run.
func RunID(run ulid.ULID) ID { return derive(run.Bytes()) }

// StepID identifies a finished step by its hashed id, in any run: only
// together with the trace of the run it is unique.
func StepID(step string) ID { return derive([]byte(step)) }

// ErroredStepID identifies an attempt of a step that will be retried.
func ErroredStepID(step string, attempt int) ID {
	return derive([]byte(step + ":" + strconv.Itoa(attempt)))
}

// SleepID is the dynamic identity of a sleep.
func SleepID(step string) ID { return derive([]byte("sleep-step:" + step)) }

// SleepDiscoveryID is the dynamic identity of the request after a sleep.
func SleepDiscoveryID(step string) ID { return derive([]byte("sleep-discovery:" + step)) }

// NonStepID identifies the function-level result of one request.
func NonStepID(group string, attempt int) ID {
	return derive([]byte("nonstep:" + group + ":" + strconv.Itoa(attempt)))
}

// DeferID identifies the request for a deferred run.
func DeferID(run ulid.ULID, hashed string) ID {
	return derive([]byte("defer-span:" + run.String() + ":" + hashed))
}

// ExecutionSpan is the span id of a call by the id of its request; "" when that
// is no ULID. The SDK is told it in the trace state (executor/driver), so that
// spans of user code can name it as their parent.
func ExecutionSpan(request string) string {
	id, err := ulid.ParseStrict(request)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(id[8:])
}

// MetadataID is the dynamic span id of the metadata of one kind below a parent.
func MetadataID(parent, kind string) string {
	return hex.EncodeToString(stream([]byte(parent+"-metadata-"+kind), 8))
}

func derive(seed []byte) ID {
	b := stream(seed, 24)
	return ID{Trace: hex.EncodeToString(b[:16]), Span: hex.EncodeToString(b[16:])}
}

// stream is the first n bytes of ChaCha8 keyed by the seed's hash (database
// §11.5).
func stream(seed []byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256(seed)).Read(b) // never fails
	return b
}
