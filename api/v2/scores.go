package v2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/jcs"
	"jetstep/state"
)

// Attacher attaches things to runs. It fails with state.ErrRunMetadataTooLarge.
type Attacher interface {
	AddMetadata(ctx context.Context, put *state.MetadataPut) error
}

// maxScores is how many scores one request may have.
const maxScores = 100

// score is one of the body's, and of the answer's.
type score struct {
	Name       string          `json:"name"`
	Value      json.RawMessage `json:"value"`
	StepID     string          `json:"stepId,omitempty"` // as the user calls the step
	Experiment *experiment     `json:"experiment,omitempty"`
	RunID      string          `json:"runId"`
}

type experiment struct {
	ID      string `json:"id"`
	Variant string `json:"variant"`
}

// scores is POST /runs/*/scores. That there is such a run is not checked.
func (s *server) scores(r *http.Request, path []string) (*answer, error) {
	run, err := parseRunID(path[0])
	if err != nil {
		return nil, err
	}
	var sent []score
	if err := readBody(r, &sent); err != nil {
		return nil, err
	}
	puts, err := scorePuts(run, sent)
	if err != nil {
		return nil, err
	}
	for _, put := range puts {
		err := s.Attach.AddMetadata(r.Context(), put)
		if errors.Is(err, state.ErrRunMetadataTooLarge) {
			return nil, &problem{http.StatusRequestEntityTooLarge, "validation_error", "Cumulative metadata size exceeds limit"}
		}
		if err != nil {
			return nil, err
		}
	}
	return single(sent)
}

// scorePuts are the facts that scores are, and completes the scores by the run.
func scorePuts(run ulid.ULID, scores []score) ([]*state.MetadataPut, error) {
	switch {
	case len(scores) == 0:
		return nil, invalid("At least one score is required")
	case len(scores) > maxScores:
		return nil, invalid("At most 100 scores are allowed")
	}
	var puts []*state.MetadataPut
	for i := range scores {
		sc := &scores[i]
		put, wrong := sc.put()
		if wrong != "" {
			return nil, invalid(fmt.Sprintf("scores[%d]: %s", i, wrong))
		}
		put.RunID, sc.RunID = run, run.String()
		puts = append(puts, put)
	}
	return puts, nil
}

// put is a score as what is attached to a run or a step (sdk-protocol §20.6);
// wrong is why it cannot be, else "".
func (sc *score) put() (put *state.MetadataPut, wrong string) {
	switch {
	case sc.Name == "":
		return nil, "Score name is required"
	case state.ValidateScoreName(sc.Name) != nil:
		return nil, "Score name is invalid"
	case sc.StepID != "" && sc.Experiment != nil:
		return nil, "Score can have a step or an experiment, not both"
	case sc.Experiment != nil && (sc.Experiment.ID == "" || sc.Experiment.Variant == ""):
		return nil, "Experiment needs an id and a variant"
	}
	put, scope := &state.MetadataPut{Attempt: -1}, "run"
	if sc.StepID != "" {
		put.Step, scope = function.StepID(sc.StepID, 0), "step"
	}
	if e := sc.Experiment; e != nil {
		put.Items = append(put.Items, metadata(scope, "inngest.experiment", map[string]string{"name": e.ID, "variant": e.Variant}))
	}
	put.Items = append(put.Items, metadata(scope, "inngest.score", map[string]any{sc.Name: map[string]json.RawMessage{"value": sc.Value}}))
	if put.Items[len(put.Items)-1].Validate() != nil {
		return nil, "Score value must be a finite number or a boolean"
	}
	return put, ""
}

func metadata(scope, kind string, values any) state.Metadata {
	text, err := jcs.Encode(values)
	if err != nil {
		text = nil // not valid, then
	}
	return state.Metadata{Scope: scope, Kind: kind, Op: "merge", Values: text}
}
