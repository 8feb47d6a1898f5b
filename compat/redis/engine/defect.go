package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/state"
)

// What cannot be executed is set aside with its reason, once, so that it is neither
// tried for ever nor lost, and everything else goes on: an item that cannot be read
// or whose run is gone or cannot be read, a pause without its run, a key of a wrong
// type. Package inspect lists and repairs.

// known are the kinds of items that there are.
var known = map[string]bool{
	format.KindStart: true, format.KindEdge: true, format.KindEdgeError: true, format.KindSleep: true, format.KindPause: true,
	format.KindDebounce: true, format.KindBatch: true, format.KindCronSync: true, format.KindCron: true,
	format.KindCronHealthCheck: true, format.KindCancel: true, format.KindPromote: true, format.KindFunctionPaused: true,
	format.KindUnpaused: true, format.KindFlush: true, format.KindLatency: true,
}

// Unfit tells why an item cannot be executed whatever is configured; nil when it
// can.
func Unfit(item *format.Item) *jobs.Defect {
	if !known[item.Data.Kind] {
		return &jobs.Defect{Why: jobs.UnknownKind, Err: fmt.Errorf("item %s is of the kind %.40q, which there is not", item.ID, item.Data.Kind)}
	}
	if _, ofRun := kindOf(item.Data.Kind); !ofRun {
		return nil
	}
	id := &item.Data.Identifier
	switch {
	case id.RunID == ulid.ULID{}:
		return &jobs.Defect{Why: jobs.NoRun, Err: fmt.Errorf("item %s names no run", item.ID)}
	case item.Environment == uuid.Nil || id.EnvironmentID == uuid.Nil:
		return &jobs.Defect{Why: jobs.NoEnvironment, Err: fmt.Errorf("item %s of run %s names no environment", item.ID, id.RunID)}
	}
	return nil
}

// suspicion is something that is set aside unless it turns out to be all right.
type suspicion struct {
	entry  *jobs.Entry   // an item that this process has leased
	pause  *format.Pause // or else a pause
	defect *jobs.Defect
	after  time.Time
}

// errEnding is a run that another process is ending.
var errEnding = errors.New("somebody else is ending the run")

// suspectRun notes that the run of jobs that this process has leased is gone, is
// being ended, or cannot be read: they are not given back when they are released.
func (n *Node) suspectRun(run ulid.ULID, err error) {
	var defect *jobs.Defect
	switch {
	case errors.Is(err, errEnding):
		defect = &jobs.Defect{Why: jobs.NoRun, Err: fmt.Errorf("run %s: %w", run, err)}
	case errors.Is(err, state.ErrRunNotFound):
		defect = &jobs.Defect{Why: jobs.NoRun, Err: fmt.Errorf("the state of run %s is gone", run)}
	case jobs.IsDefect(err):
		defect = &jobs.Defect{Why: jobs.RunUnreadable, Err: err}
	default:
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.held {
		if h.run() == run {
			h.defect = defect
		}
	}
}

// doubtful keeps an item that was released leased until it is known whether it is
// to be set aside: its run may be ending just now, and its items with it.
func (n *Node) doubtful(e *jobs.Entry, defect *jobs.Defect) {
	after := time.Now()
	switch {
	case errors.Is(defect, errEnding):
		after = after.Add(endingDoubt)
	case defect.Why == jobs.NoRun:
		after = after.Add(doubt)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.suspicions = append(n.suspicions, suspicion{entry: e, defect: defect, after: after})
}

// orphan notes a pause whose run is gone.
func (n *Node) orphan(p *format.Pause) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.suspicions {
		if s.pause != nil && s.pause.ID == p.ID {
			return
		}
	}
	n.suspicions = append(n.suspicions, suspicion{
		pause: p, after: time.Now().Add(doubt),
		defect: &jobs.Defect{Why: jobs.NoRun, Err: fmt.Errorf("the state of run %s is gone", p.Run.RunID)},
	})
}

// judge sets aside what is still as it was when it was suspected.
func (n *Node) judge(ctx context.Context, now time.Time) error {
	for {
		s, ok := n.nextSuspicion(now)
		if !ok {
			return nil
		}
		err := n.judgeOne(ctx, s)
		if err == nil || jobs.IsDefect(err) {
			continue
		}
		n.mu.Lock()
		n.suspicions = append(n.suspicions, s)
		n.mu.Unlock()
		return err
	}
}

func (n *Node) nextSuspicion(now time.Time) (suspicion, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, s := range n.suspicions {
		if !s.after.After(now) {
			n.suspicions = append(n.suspicions[:i], n.suspicions[i+1:]...)
			return s, true
		}
	}
	return suspicion{}, false
}

func (n *Node) judgeOne(ctx context.Context, s suspicion) error {
	run := ulid.ULID{}
	if s.pause != nil {
		run = s.pause.Run.RunID
	} else {
		run = s.entry.Item.Data.Identifier.RunID
	}
	if s.defect.Why == jobs.NoRun {
		_, err := n.runs.Metadata(ctx, run)
		if err == nil && s.entry != nil {
			return n.giveBack(ctx, s.entry) // it is there after all
		}
		if !errors.Is(err, format.ErrNoRun) {
			return err
		}
	}
	if s.pause != nil {
		return n.setPauseAside(ctx, s.pause, s.defect)
	}
	err := n.jobs.SetAside(ctx, s.entry, s.defect)
	if errors.Is(err, jobs.ErrChanged) {
		return nil // it went with its run, or somebody else has it
	}
	if err == nil {
		n.Log.Error("job set aside: it cannot be executed", "run_id", run, "partition", s.entry.Item.Partition(), "error", s.defect)
	}
	return err
}

func (n *Node) setPauseAside(ctx context.Context, p *format.Pause, defect *jobs.Defect) error {
	text, ok, err := n.runs.PauseText(ctx, p.EnvironmentID, p.IndexEvent(), p.ID)
	if err != nil {
		return err
	}
	if !ok {
		return n.runs.DeletePause(ctx, p) // what else leads to it
	}
	done, err := n.runs.SetPauseAside(ctx, p.EnvironmentID, p.IndexEvent(), p.ID.String(), text, string(defect.Why), defect.Error())
	if err != nil {
		return err
	}
	if done {
		n.tellAside(jobs.AsidePause, defect.Why)
		n.Log.Error("pause set aside: it leads to nothing", "run_id", p.Run.RunID, "event", p.Event, "error", defect)
	}
	return n.runs.DeletePause(ctx, p)
}

// damagedPause sets a pause of an event aside that cannot be read.
func (n *Node) damagedPause(ctx context.Context, event string, err error) {
	n.Log.Error("pause set aside: it cannot be read", "event", event, "error", err)
	var value *format.ValueError
	if !errors.As(err, &value) || value.Member == "" {
		return
	}
	text, err := n.Redis.HGet(ctx, value.Key, value.Member).Result()
	if err != nil {
		return // it is found again with the next event
	}
	done, err := n.runs.SetPauseAside(ctx, n.Environment, event, value.Member, text, string(jobs.Unreadable), value.Error())
	if err == nil && done {
		n.tellAside(jobs.AsidePause, jobs.Unreadable)
	}
}

func (n *Node) tellAside(kind string, why jobs.Why) {
	if n.Observer.SetAside != nil {
		n.Observer.SetAside(kind, why)
	}
}

// passOver is nil for an error that a pause's run is the reason of: it does not keep
// an event from others.
func (n *Node) passOver(p *format.Pause, err error) error {
	if !jobs.IsDefect(err) {
		return err
	}
	n.Log.Error("run passed over: it cannot be read", "run_id", p.Run.RunID, "error", err)
	return nil
}

// contain keeps an error that concerns one partition alone from the others. It
// tells whether it is one.
func (n *Node) contain(ctx context.Context, partition string, err error) bool {
	if jobs.IsDefect(err) {
		mended, mendErr := n.jobs.Mend(ctx, partition)
		if mendErr != nil {
			return false
		}
		if mended {
			n.Log.Error("keys of a partition set aside: they are of a wrong type", "partition", partition, "error", err)
			return true
		}
	}
	if !ofScript(err) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.troubled == nil {
		n.troubled = map[string]bool{}
	}
	if !n.troubled[partition] {
		n.troubled[partition] = true
		n.Log.Error("partition passed over: it cannot be visited", "partition", partition, "error", err)
	}
	return true
}

// ofScript tells that a script met what it cannot work with, and not a server that
// does nothing for anybody at present.
func ofScript(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(reply.Error(), "user_script") && !ofServer(reply.Error())
}
