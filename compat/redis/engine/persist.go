package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/jobs"
	"jetstep/state"
)

// triesCommit is the storing of what a call came to.
const triesCommit = "commit"

// persist stores what a call came to as long as its lease lasts, should Redis not do
// what it is asked meanwhile: the call need not be made again, and nobody else makes
// it. Without a job, who asks is told at once.
func (n *Node) persist(ctx context.Context, t *state.Transition, store func() error) error {
	for failed := false; ; failed = true {
		err := store()
		if !isAway(err) || t.Job == "" || ctx.Err() != nil {
			if failed && !isAway(err) {
				n.outage.note(triesCommit, nil)
			}
			return err
		}
		pause := n.outage.note(triesCommit, err)
		if !n.lastsUntil(t.Job, time.Now().Add(pause)) || !sleep(ctx, pause) {
			n.outage.note(triesCommit, nil) // it is tried no more
			return err
		}
	}
}

// lastsUntil tells whether this process has leased a job until then.
func (n *Node) lastsUntil(job string, then time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, ok := n.held[job]
	return ok && then.Before(h.until)
}

// states are what a server answers that does nothing for anybody at present, or not
// what was asked.
var states = []string{
	"OOM", "READONLY", "MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOPERM", "BUSY",
	"EXECABORT",
	"ERR max number of clients",
}

// isAway tells that an error is of the connection or of the whole server: what was
// asked may be asked again.
func isAway(err error) bool {
	if err == nil || jobs.IsDefect(err) {
		return false
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrPoolTimeout) {
		return true
	}
	var reply redis.Error
	return errors.As(err, &reply) && ofServer(reply.Error())
}

// ofServer tells whether an answer is of a server in such a state. Within a script
// it stands somewhere in the text.
func ofServer(answer string) bool {
	for _, state := range states {
		if strings.Contains(answer, state) {
			return true
		}
	}
	return false
}
