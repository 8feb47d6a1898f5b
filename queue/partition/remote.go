package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/oklog/ulid/v2"

	"jetstep/jcs"
	"jetstep/queue"
	"jetstep/state"
)

// A run may belong to a partition of another process. What the API asks about
// it is then asked there: reads, and decisions that the owner alone may make.

// question is a request to an owner in another process. Kind says which of the
// other fields are set.
type question struct {
	Kind       string               `json:"kind"`
	Seen       uint64               `json:"seen,omitempty"`     // as state.Command has it,
	Registry   uint64               `json:"registry,omitempty"` // both
	RunID      ulid.ULID            `json:"run_id,omitzero"`
	Transition *state.Transition    `json:"transition,omitempty"`
	Name       string               `json:"name,omitempty"`
	Data       json.RawMessage      `json:"data,omitempty"`
	Start      *state.Start         `json:"start,omitempty"`
	Beginning  *state.Beginning     `json:"beginning,omitempty"`
	Metadata   *state.MetadataPut   `json:"metadata,omitempty"`
	Foreign    *queue.ForeignReport `json:"foreign,omitempty"`
	Moved      []byte               `json:"moved,omitempty"` // state.MarshalMoved
}

// run is the run that the question is about, if it is there already.
func (q *question) run() ulid.ULID {
	switch {
	case q.Transition != nil:
		return q.Transition.RunID
	case q.Metadata != nil:
		return q.Metadata.RunID
	}
	return q.RunID
}

// The kinds of questions.
const (
	askLoad     = "load"
	askCommit   = "commit"
	askCancel   = "cancel"
	askSignal   = "signal"
	askStart    = "start"
	askClaim    = "claim"
	askBegin    = "begin"
	askMetadata = "metadata"
	askTake     = "take"
	askFind     = "find"
	askForeign  = "foreign"
	askHeld     = "held"
)

// answer is what an owner says; Code names an error that callers know.
type answer struct {
	Run *state.Run `json:"run,omitempty"`
	// Partition is where the run lives that was asked about, with errElsewhere.
	Partition int       `json:"partition,omitempty"`
	RunID     ulid.ULID `json:"run_id,omitzero"`
	Granted   []string  `json:"granted,omitempty"`
	// Held are the limits that the run's jobs wait for, by job.
	Held map[string]string `json:"held,omitempty"`
	// Of what was to be taken over, or was looked for.
	Outcomes []state.TakeOutcome `json:"outcomes,omitempty"`
	Moved    []byte              `json:"moved,omitempty"`
	Code     string              `json:"code,omitempty"`
	Error    string              `json:"error,omitempty"`
}

// answerErrors are the errors that keep their identity between processes.
var answerErrors = map[string]error{
	"run_not_found":      state.ErrRunNotFound,
	"no_signal":          ErrNoSignal,
	"not_owner":          ErrNotOwner,
	"run_exists":         ErrRunExists,
	"no_function":        ErrNoFunction,
	"repeated":           state.ErrRepeated,
	"rate_limited":       state.ErrRateLimited,
	"debounced":          state.ErrDebounced,
	"batched":            state.ErrBatched,
	"skipped":            state.ErrSkipped,
	"metadata_too_large": state.ErrRunMetadataTooLarge,
	"elsewhere":          errElsewhere,
}

// ask puts a question to the owner of a partition elsewhere, and once more to
// the one that it names.
func (n *Node) ask(ctx context.Context, p int, q question) (answer, error) {
	a, err := n.askOwner(ctx, p, q)
	if errors.Is(err, errElsewhere) && a.Partition != p {
		a, err = n.askOwner(ctx, a.Partition, q)
	}
	return a, err
}

func (n *Node) askOwner(ctx context.Context, p int, q question) (answer, error) {
	var a answer
	q.Seen, q.Registry = n.bus.LastEvent(), n.bus.Registry().Revision()
	request, err := jcs.Encode(q)
	if err != nil {
		return a, err
	}
	reply, err := n.bus.Ask(ctx, p, request)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrNotOwner, err)
	}
	if err := json.Unmarshal(reply, &a); err != nil {
		return a, fmt.Errorf("answer of partition %d: %w", p, err)
	}
	if known, ok := answerErrors[a.Code]; ok {
		return a, fmt.Errorf("%w: %s", known, a.Error)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// reply answers a question of another process.
func (o *Owner) reply(request []byte) []byte {
	a, err := o.consider(request)
	if err != nil {
		a.Error = err.Error()
		for code, known := range answerErrors {
			if errors.Is(err, known) {
				a.Code = code
			}
		}
	}
	out, err := jcs.Encode(a)
	if err != nil {
		out, _ = jcs.Encode(answer{Error: err.Error()}) // strings always marshal
	}
	return out
}

func (o *Owner) consider(request []byte) (answer, error) {
	if !o.held() || o.isClosing() {
		return answer{}, ErrNotOwner // who comes after it knows more
	}
	var q question
	if err := json.Unmarshal(request, &q); err != nil {
		return answer{}, fmt.Errorf("question: %w", err)
	}
	o.node.learn(q.Seen, q.Registry)
	if p, elsewhere := o.home(q.run()); elsewhere {
		return answer{Partition: p}, errElsewhere
	}
	ctx, cancel := context.WithTimeout(context.Background(), appendTimeout)
	defer cancel()
	switch q.Kind {
	case askLoad:
		run, err := o.view(q.RunID)
		return answer{Run: run}, err
	case askHeld:
		return answer{Held: maps.Collect(o.heldJobs(q.RunID))}, nil
	case askCommit:
		if q.Transition == nil {
			return answer{}, errors.New("question without a transition")
		}
		return answer{}, o.commit(ctx, q.Transition)
	case askCancel:
		return answer{}, o.cancelRun(ctx, q.RunID)
	case askSignal:
		id, err := o.giveSignal(ctx, q.Name, q.Data)
		return answer{RunID: id}, err
	case askStart:
		if q.Start == nil {
			return answer{}, errors.New("question without a start")
		}
		id, err := o.startNow(ctx, q.Start)
		return answer{RunID: id}, err
	case askClaim, askBegin:
		if q.Beginning == nil {
			return answer{}, errors.New("question without a run")
		}
		if q.Kind == askClaim {
			return answer{}, o.claimFor(ctx, q.Beginning)
		}
		return answer{}, o.beginRun(ctx, q.Beginning)
	case askTake, askFind:
		return o.considerMoved(ctx, &q)
	case askMetadata:
		if q.Metadata == nil {
			return answer{}, errors.New("question without metadata")
		}
		return answer{}, o.addMetadata(ctx, q.Metadata)
	case askForeign:
		if q.Foreign == nil {
			return answer{}, errors.New("question without a report")
		}
		granted, err := o.foreignReport(q.Foreign)
		return answer{Granted: granted}, err
	}
	return answer{}, fmt.Errorf("question of unknown kind %q", q.Kind)
}
