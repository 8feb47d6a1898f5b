package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/jcs"
)

// Limits of metadata (sdk-protocol §21), in bytes.
const (
	MaxMetadata    = 64 << 10 // of one span
	MaxRunMetadata = 1 << 20  // of one run
	maxKind        = 128
	maxScoreName   = 128
)

// The errors of metadata.
var (
	ErrMetadata         = errors.New("invalid metadata")
	ErrMetadataTooLarge = errors.New("metadata too large")
	// ErrRunMetadataTooLarge is about all metadata of a run.
	ErrRunMetadataTooLarge = errors.New("cumulative metadata size exceeds the limit")
)

// Metadata is what is attached to a run or to a part of it, for display only
// (sdk-protocol §20.6). As JSON it is what an opcode carries.
type Metadata struct {
	Scope  string          `json:"scope"` // "run", "step", "step_attempt", "extended_trace" or "request"
	Kind   string          `json:"kind"`
	Op     string          `json:"op"`     // "merge", "set", "delete" or "add"
	Values json.RawMessage `json:"values"` // an object
}

var (
	metadataScopes = []string{"run", "step", "step_attempt", "extended_trace", "request"}
	metadataOps    = []string{"merge", "set", "delete", "add"}
	// reservedKinds are those that SDKs may use of the platform's own.
	reservedKinds = []string{
		"inngest.ai", "inngest.http", "inngest.http.timing", "inngest.response_headers",
		"inngest.warnings", kindExperiment, kindScore,
	}
)

const (
	kindScore      = "inngest.score"
	kindExperiment = "inngest.experiment"
)

// Size is what counts for the limits, in bytes.
func (m *Metadata) Size() int { return len(m.Kind) + len(m.Values) }

// Validate tells what is wrong; the error is ErrMetadata or
// ErrMetadataTooLarge.
func (m *Metadata) Validate() error {
	switch {
	case !slices.Contains(metadataScopes, m.Scope):
		return fmt.Errorf("%w: scope %q", ErrMetadata, m.Scope)
	case !slices.Contains(metadataOps, m.Op):
		return fmt.Errorf("%w: op %q", ErrMetadata, m.Op)
	case m.Kind == "" || len(m.Kind) > maxKind:
		return fmt.Errorf("%w: kind of %d bytes", ErrMetadata, len(m.Kind))
	case strings.HasPrefix(m.Kind, "inngest.") && !slices.Contains(reservedKinds, m.Kind):
		return fmt.Errorf("%w: kind %q is reserved", ErrMetadata, m.Kind)
	case jcs.FirstByte(m.Values) != '{':
		return fmt.Errorf("%w: values of %s are no object", ErrMetadata, m.Kind)
	case m.Size() > MaxMetadata:
		return fmt.Errorf("%w: %s of %d bytes", ErrMetadataTooLarge, m.Kind, m.Size())
	}
	if m.Kind == kindScore {
		return validateScores(m.Values)
	}
	return nil
}

// validateScores checks {"<name>":{"value":<number or boolean>}}.
func validateScores(values json.RawMessage) error {
	var scores map[string]struct {
		Value any `json:"value"`
	}
	if err := json.Unmarshal(values, &scores); err != nil {
		return fmt.Errorf("%w: scores: %w", ErrMetadata, err)
	}
	for name, score := range scores {
		if err := ValidateScoreName(name); err != nil {
			return err
		}
		switch value := score.Value.(type) {
		case bool:
		case float64:
			if math.IsInf(value, 0) || math.IsNaN(value) {
				return fmt.Errorf("%w: score %q is not finite", ErrMetadata, name)
			}
		default:
			return fmt.Errorf("%w: score %q is neither a number nor a boolean", ErrMetadata, name)
		}
	}
	return nil
}

// ValidateScoreName checks the name of a score; the error is ErrMetadata.
func ValidateScoreName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > maxScoreName {
		return fmt.Errorf("%w: score name of %d bytes", ErrMetadata, len(name))
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == '\'' {
			return fmt.Errorf("%w: score name %q", ErrMetadata, name)
		}
	}
	return nil
}

// ParseMetadata reads the list that an opcode carries. What is not valid is
// left out, and the error says why; it must not change what is executed.
func ParseMetadata(list json.RawMessage) ([]Metadata, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var sent []Metadata
	if err := json.Unmarshal(list, &sent); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	var wrong error
	valid := sent[:0]
	for _, m := range sent {
		if err := m.Validate(); err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		valid = append(valid, m)
	}
	return valid, wrong
}

// MetadataPut says what was attached to a run from outside of its calls: it is
// known of a run even after its end. Nothing follows from it but that a live
// run's metadata are counted.
type MetadataPut struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID // zero if the run is not live
	// Step is the hashed step id, "" for the run. Attempt is which of its
	// attempts, -1 for the last.
	Step    string
	Attempt int
	// Span is a span of an extended trace, "" for none.
	Span  string
	Items []Metadata
	// RunSize is the size of all metadata of the run since, in bytes.
	RunSize int
}

func (o *MetadataPut) tag() uint8 { return tagMetadataPut }
func (o *MetadataPut) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
	c.string(&o.Step)
	c.int(&o.Attempt)
	c.string(&o.Span)
	list(c, &o.Items, codeMetadata)
	c.int(&o.RunSize)
}

func codeMetadata(c *coder, m *Metadata) {
	c.block(func(c *coder) {
		c.string(&m.Scope)
		c.string(&m.Kind)
		c.string(&m.Op)
		codeRaw(c, &m.Values)
	})
}

// Size is what counts for the limits, in bytes.
func (o *MetadataPut) Size() int {
	size := 0
	for i := range o.Items {
		size += o.Items[i].Size()
	}
	return size
}

func (o *MetadataPut) apply(x *Index, _ int64) {
	if r, ok := x.Run(o.RunID); ok {
		r.MetadataSize = max(r.MetadataSize, o.RunSize)
	}
}
