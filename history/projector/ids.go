package projector

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
)

// What the ids of rows are made from that the original draws at random
// (database §11.5). Each names a row together with its run and what else is
// given to derived.
const (
	ofDiscovery = "discovery"  // job
	ofExecution = "execution"  // job, generation
	ofStarted   = "started"    // the run's extension when it started
	ofEnded     = "ended"      // and when it ended
	ofDetached  = "detached"   // and when a durable endpoint's run went on by itself
	ofPlanned   = "planned"    // step
	ofStepEnded = "step-ended" // step
	ofInvoked   = "invoked"    // step
	ofDefer     = "defer"      // hashed id, status
	ofMetadata  = "metadata"   // parent, kind, place in the log
	ofGroup     = "group"      // job
	ofHistory   = "history"    // type, job or step, attempt
)

// hash is what derived ids are cut from.
func hash(run ulid.ULID, kind, id string, n int) [sha256.Size]byte {
	var room [192]byte
	seed := append(room[:0], run[:]...)
	seed = append(seed, kind...)
	seed = append(seed, 0)
	seed = append(seed, id...)
	seed = append(seed, 0)
	seed = strconv.AppendInt(seed, int64(n), 10)
	return sha256.Sum256(seed)
}

// derived is the span id of a row that no other writer needs to know.
func derived(run ulid.ULID, kind, id string, n int) string {
	sum := hash(run, kind, id, n)
	return hex.EncodeToString(sum[:8])
}

// groupOf is the group id of a job: all of its attempts share it.
func groupOf(run ulid.ULID, job string) string {
	sum := hash(run, ofGroup, job, 0)
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8: an id of one's own making
	return id.String()
}

// entryID is the id of an entry of the history, in order of time.
func entryID(run ulid.ULID, at int64, kind, id string, n int) ulid.ULID {
	sum := hash(run, ofHistory+kind, id, n)
	var entry ulid.ULID
	_ = entry.SetTime(uint64(max(at, 0))) // fails only after the year 10889
	copy(entry[6:], sum[:])
	return entry
}

// stepSpan is the dynamic id of a step: of what finished, is planned or waits.
func stepSpan(step string) string { return trace.StepID(step).Span }

// moment is a time that records have as milliseconds; 0 is the zero time.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
