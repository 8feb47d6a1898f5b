package bus

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Each message of a log names its writer, "<first>.<random>", where first is
// the sequence that the writer's first message was to have.
//
// The expected sequence alone is no perfect fence: of a stale owner's pipelined
// messages the first is refused, but the next may expect just the sequence that
// the new owner's first message has taken, and is stored. Its writer is told of
// the refusal and takes none of them for stored; readers must not either.
// (Naming the predecessor by Nats-Expected-Last-Msg-Id would refuse it too, but
// a mismatch stops the whole stream on a cluster of nats-server 2.15.2.)
const headerWriter = "Jetstep-Writer"

// newWriter names a writer whose first message follows the sequence last.
func newWriter(last uint64) string {
	return strconv.FormatUint(last+1, 10) + "." + strconv.FormatUint(rand.Uint64(), 36)
}

// opens tells whether the message at seq is its writer's first.
func opens(seq uint64, writer string) bool {
	first, _, ok := strings.Cut(writer, ".")
	return ok && first == strconv.FormatUint(seq, 10)
}

// lineage tells, message by message from the beginning of a log, which belong
// to it. A writer's first message is stored only if nothing follows what the
// writer has read, so it makes the writer the owner. Everything up to the next
// stray message continues that owner's records without a gap; what comes after
// one may miss a predecessor, until a writer opens again.
type lineage struct {
	begun  bool
	writer string   // the present owner, "" after a stray message
	stray  []uint64 // sequences of the messages that do not belong
}

func (l *lineage) belongs(seq uint64, writer string) bool {
	switch {
	case writer != "" && writer == l.writer:
	case opens(seq, writer):
		l.writer = writer
	case !l.begun && writer != "":
		// What was before has been purged, and never up to a stray message.
		l.writer = writer
	default:
		l.writer = ""
		l.stray = append(l.stray, seq)
	}
	l.begun = true
	return l.writer != ""
}
