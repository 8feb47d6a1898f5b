package function

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// DefaultShard is the queue shard name in qi_id.
const DefaultShard = "default"

// AppID is the id of the app of that name (sdk-protocol §4.1). A placeholder,
// which has no name yet, takes its normalised URL instead.
func AppID(name string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name))
}

// FunctionID is the id of a function at its first registration, from its
// display name and its normalised step URI (sdk-protocol §4.2). Later
// registrations keep the stored id, see MergeFunctions.
func FunctionID(name, stepURI string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name+stepURI))
}

// EndpointAppID is the id of the app of durable endpoints served from domain,
// such as "http://127.0.0.1:18101" (sdk-protocol §4.7).
func EndpointAppID(environment uuid.UUID, domain string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, append(environment[:], domain...))
}

// EndpointFunctionID is the id of a durable endpoint, slug being its own or
// "<METHOD> <PATH>" (sdk-protocol §4.7).
func EndpointFunctionID(app uuid.UUID, slug string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, append(app[:], slug...))
}

// PauseID is the id of the pause of a wait, invoke or signal (sdk-protocol §4.7).
func PauseID(runID, stepID string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(runID+stepID))
}

// CancelPauseID is the id of a cancelOn pause; expression is the interpolated
// one and may be empty (sdk-protocol §4.7).
func CancelPauseID(idempotencyKey, eventName, expression string) uuid.UUID {
	name := idempotencyKey + "-" + eventName
	if expression != "" {
		name += "-" + expression
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name))
}

// CorrelationID links an invoke step to the run it started (sdk-protocol §4.7).
func CorrelationID(runID, stepID string) string {
	return runID + "." + stepID
}

// IdempotencyKey is what makes two starts the same run: key is the event's id,
// "<function id>-<batch id>" for a batch, the scheduled time in RFC 3339 UTC
// for a cron, or the new run's id for a rerun (flow-control §9; "I" of
// sdk-protocol §4.5).
func IdempotencyKey(function uuid.UUID, key string) string {
	return Hash(function.String()) + "-" + Hash(key)
}

// RunKey is the prefix "K" of all job names of a run (sdk-protocol §4.5);
// idempotencyKey is from IdempotencyKey, or the run id if none was set.
func RunKey(function uuid.UUID, idempotencyKey string) string {
	return function.String() + ":" + idempotencyKey
}

// CoalesceKey groups the parallel steps planned by one response, whatever
// their order (sdk-protocol §4.5, "C"). stepIDs is left as it is.
func CoalesceKey(runID string, stepIDs []string) string {
	sorted := slices.Clone(stepIDs)
	slices.Sort(sorted)
	digest := xxhash.New()
	_, _ = digest.WriteString(runID) // never fails
	for _, id := range sorted {
		_, _ = digest.WriteString("\x00" + id)
	}
	return fmt.Sprintf("%016x", digest.Sum64())
}

// DeterministicULID has t's milliseconds and entropy drawn from seed, which is
// padded with zero bytes to ten (sdk-protocol §4.7).
func DeterministicULID(t time.Time, seed string) ulid.ULID {
	const entropySize = 10
	padded := []byte(seed)
	for len(padded) < entropySize {
		padded = append(padded, 0)
	}
	sum := sha256.Sum256(padded)
	return newULID(ulid.Timestamp(t), sum[:entropySize])
}

// RequestID names one call of an SDK; jobID is the hashed id and generation
// the number of the job's attempt record (sdk-protocol §4.7).
func RequestID(now time.Time, jobID string, generation int) ulid.ULID {
	return DeterministicULID(now, jobID+":"+strconv.Itoa(generation))
}

// DeferEventID is the id of the event that starts a deferred function
// (sdk-protocol §4.7).
func DeferEventID(parentRun ulid.ULID, hashedStepID string) ulid.ULID {
	return DeterministicULID(ulid.Time(parentRun.Time()), "defer-event:"+parentRun.String()+":"+hashedStepID)
}

// Seed makes the ids of one request's events deterministic.
type Seed struct {
	ms      uint64
	entropy [10]byte
}

// ParseSeed reads the X-Inngest-Event-Id-Seed header,
// "<milliseconds>,<base64 of 10 bytes>" (sdk-protocol §4.6). A header that is
// not exactly that is to be ignored: ok is false.
func ParseSeed(header string) (seed Seed, ok bool) {
	msText, entropyText, found := strings.Cut(header, ",")
	if !found {
		return Seed{}, false
	}
	ms, err := strconv.ParseInt(msText, 10, 64)
	if err != nil || ms <= 0 || uint64(ms) > ulid.MaxTime() {
		return Seed{}, false
	}
	entropy, err := base64.StdEncoding.DecodeString(entropyText)
	if err != nil || len(entropy) != len(seed.entropy) {
		return Seed{}, false
	}
	seed.ms = uint64(ms)
	copy(seed.entropy[:], entropy)
	return seed, true
}

// EventID is the id of the request's event at a 0-based index.
func (s Seed) EventID(index int) ulid.ULID {
	return s.Increment(uint32(index) + 1)
}

// InvokeEventID is the id of the one event of POST /invoke.
func (s Seed) InvokeEventID() ulid.ULID {
	return s.Increment(0)
}

// Increment is the id with the seed's counter increased by n, wrapping.
func (s Seed) Increment(n uint32) ulid.ULID {
	counter := s.entropy[6:]
	binary.BigEndian.PutUint32(counter, binary.BigEndian.Uint32(counter)+n)
	return newULID(s.ms, s.entropy[:])
}

// SeededEventID is the id of a request's event at a 0-based index, if the
// header is a valid seed. For several events of one request use ParseSeed.
func SeededEventID(header string, index int) (id ulid.ULID, ok bool) {
	seed, ok := ParseSeed(header)
	if !ok {
		return ulid.ULID{}, false
	}
	return seed.EventID(index), true
}

// newULID is for a time that fits 48 bits and ten bytes of entropy.
func newULID(ms uint64, entropy []byte) ulid.ULID {
	var id ulid.ULID
	_ = id.SetTime(min(ms, ulid.MaxTime()))
	_ = id.SetEntropy(entropy)
	return id
}

// ErrQueueItemID means a qi_id that QueueItemID did not make.
var ErrQueueItemID = errors.New("malformed queue item id")

// QueueItemID is the ctx.qi_id of a request: the hashed job id and the queue
// shard, base64 (sdk-protocol §4.5).
func QueueItemID(jobID string) string {
	return base64.StdEncoding.EncodeToString([]byte(jobID + "::" + DefaultShard))
}

// ParseQueueItemID returns the hashed job id and the shard of a qi_id. The
// error is ErrQueueItemID.
func ParseQueueItemID(id string) (jobID, shard string, err error) {
	raw, err := base64.StdEncoding.DecodeString(id)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrQueueItemID, err)
	}
	jobID, shard, found := strings.Cut(string(raw), "::")
	if !found || jobID == "" {
		return "", "", ErrQueueItemID
	}
	return jobID, shard, nil
}
