package engine

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/state"
)

// memberOurs is a member of an item's data that the original does not have. It
// keeps what a sleep's item has no place for.
const memberOurs = "jetstep"

// ours is what memberOurs has.
type ours struct {
	Group string `json:"group,omitempty"`
	Race  bool   `json:"race,omitempty"`
}

var kinds = map[string]state.JobKind{
	format.KindStart: state.JobStart, format.KindEdge: state.JobEdge, format.KindEdgeError: state.JobEdgeError,
	format.KindSleep: state.JobSleep, format.KindPause: state.JobPause,
}

// kindOf is false for items that are no jobs of runs.
func kindOf(kind string) (state.JobKind, bool) {
	k, ok := kinds[kind]
	return k, ok
}

func (n *Node) jobOf(item *format.Item) (state.Job, error) { return jobOf(item, n.Functions.Attempts) }

// jobOf reads an item as a job (redis-queue §5.4).
func jobOf(item *format.Item, attempts func(uuid.UUID) int) (state.Job, error) {
	kind, ok := kindOf(item.Data.Kind)
	if !ok {
		return state.Job{}, fmt.Errorf("item %s of kind %q is no job of a run", item.ID, item.Data.Kind)
	}
	job := state.Job{
		ID: item.ID, Kind: kind, Due: item.At, Attempt: item.Data.Attempt, MaxAttempts: item.MaxAttempts(),
		Generation: max(item.Generation-1, 0), Group: item.Data.CoalesceKey, Race: item.Data.ParallelMode == format.ModeRace,
	}
	at := format.Place{Key: format.ItemsKey, Member: item.ID}
	if kind == state.JobPause {
		p, err := format.PayloadOf[format.PausePayload](at, item)
		if err != nil {
			return state.Job{}, err
		}
		job.Step, job.Group, job.Race = p.Pause.DataKey, p.Pause.CoalesceKey, p.Pause.ParallelMode == format.ModeRace
		switch { // the call that follows may be tried as often as any other
		case item.Data.MaxAttempts != nil:
		case p.Pause.MaxAttempts != nil:
			job.MaxAttempts = *p.Pause.MaxAttempts
		default:
			job.MaxAttempts = attempts(item.FunctionID)
		}
		return job, nil
	}
	p, err := format.PayloadOf[format.EdgePayload](at, item)
	if err != nil {
		return state.Job{}, err
	}
	switch {
	case kind == state.JobStart:
		// What such an item says is only a ceiling.
		job.MaxAttempts = attempts(item.FunctionID)
	case kind == state.JobSleep:
		job.Step = p.Edge.Outgoing
		var more ours
		if raw, ok := item.Data.Rest[memberOurs]; ok && json.Unmarshal(raw, &more) == nil {
			job.Group, job.Race = more.Group, more.Race
		}
	default:
		job.Step = p.Edge.Planned
		if p.Edge.Outgoing != format.EdgeTrigger {
			job.Outgoing = p.Edge.Outgoing
		}
	}
	return job, nil
}

func (n *Node) itemOf(id *format.Identifier, job state.Job, pause *format.Pause) (*format.Item, error) {
	return ItemOf(id, job, pause)
}

// itemOf writes a job that the transition adds.
func (c *commit) itemOf(job state.Job, pause *format.Pause) (*format.Item, error) {
	return namedItemOf(&c.Metadata.ID, job, c.nameOf(job.Step), pause)
}

// nameOf is the name of a step of the call's answer to show, "" for any other. The
// original shows it; nothing here depends on it.
func (c *commit) nameOf(step string) string {
	var ops []state.CalledOp
	switch {
	case step == "":
	case c.Called != nil:
		ops = c.Called.Ops
	case c.Reported != nil:
		ops = c.Reported.Ops
	}
	for i := range ops {
		if ops[i].ID == step {
			return ops[i].Name
		}
	}
	return ""
}

// ItemOf writes a job of a run as an item; a pause's timeout has its pause.
func ItemOf(id *format.Identifier, job state.Job, pause *format.Pause) (*format.Item, error) {
	return namedItemOf(id, job, "", pause)
}

// namedItemOf is ItemOf with the name of the job's step.
func namedItemOf(id *format.Identifier, job state.Job, name string, pause *format.Pause) (*format.Item, error) {
	identifier := *id
	identifier.Key = ""
	item := &format.Item{
		ID: job.ID, At: min(job.Due, format.LatestTime), FunctionID: id.FunctionID, Environment: id.EnvironmentID, Generation: job.Generation + 1,
		Data: format.ItemData{
			GroupID: uuid.NewString(), Environment: id.EnvironmentID, Kind: job.Kind.String(), Identifier: identifier,
			Attempt: job.Attempt, Priority: id.Priority,
		},
	}
	if job.MaxAttempts > 0 {
		item.Data.MaxAttempts = &job.MaxAttempts
	}
	var payload any
	switch job.Kind {
	case state.JobPause:
		item.Data.GroupID = cmp.Or(pause.GroupID, item.Data.GroupID)
		if pause.Opcode == format.OpWaitForEvent {
			item.Data.MaxAttempts = nil // as there (redis-queue §5.4)
		}
		payload = format.PausePayload{PauseID: pause.ID, Pause: *pause}
	case state.JobSleep:
		payload = format.EdgePayload{Edge: format.Edge{Incoming: format.EdgeStep, Outgoing: job.Step}}
		if job.Group != "" || job.Race {
			raw, err := json.Marshal(ours{job.Group, job.Race})
			if err != nil {
				return nil, fmt.Errorf("item %s: %w", job.ID, err)
			}
			item.Data.Rest = format.Rest{memberOurs: raw}
		}
	case state.JobStart:
		const ceiling = 21 // redis-queue §6.3
		attempts := ceiling
		item.Data.MaxAttempts = &attempts
		payload = format.EdgePayload{Edge: format.Edge{Incoming: format.EdgeTrigger}}
	default:
		item.Data.CoalesceKey = job.Group
		if job.Race {
			item.Data.ParallelMode = format.ModeRace
		}
		edge := format.Edge{Incoming: format.EdgeStep, Planned: job.Step, Outgoing: job.Outgoing}
		if job.Step != "" && job.Outgoing == "" {
			edge.Outgoing, edge.Name = format.EdgeTrigger, name
		}
		payload = format.EdgePayload{Edge: edge}
	}
	var err error
	if item.Data.Payload, err = format.Raw(payload); err != nil {
		return nil, fmt.Errorf("item %s: %w", job.ID, err)
	}
	return item, nil
}
