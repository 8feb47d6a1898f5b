package format

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Type is a type of Redis values, as the command TYPE names it.
type Type string

// The types in use.
const (
	String Type = "string"
	Hash   Type = "hash"
	List   Type = "list"
	Set    Type = "set"
	Sorted Type = "zset"
)

// Pattern is a kind of keys.
type Pattern struct {
	// Template is the key's name with <parts>; ids have the names of what they
	// are ids of, <...> is any text.
	Template string
	Type     Type // "" is any
	// member and value read what stands in a key; nil for what may be anything.
	// member is of hash fields and of elements of sets and sorted sets.
	member func(Place, string) error
	value  func(Place, string) error

	once  sync.Once
	regex *regexp.Regexp
	parts []string
}

// ErrUnknownKey is a key that the original does not have.
var ErrUnknownKey = errors.New("unknown key")

// WrongTypeError is a key whose value is of another type than the original's.
type WrongTypeError struct {
	Key       string
	Want, Got Type
}

func (e *WrongTypeError) Error() string {
	return fmt.Sprintf("%s is a %s and should be a %s", e.Key, e.Got, e.Want)
}

// Parts are what the parts of a pattern's template are in a key. A part that
// the template repeats is the same everywhere.
type Parts map[string]string

const (
	anyULID = `([0-9A-HJKMNP-TV-Z]{26})`
	anyUUID = `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
	anyHash = `([0-9a-z]+)`
	anyText = `(.*)`
)

var partForms = map[string]string{
	"run": anyULID, "batch": anyULID, "event": anyULID, "lease": anyULID, "request": anyULID,
	"function": anyUUID, "environment": anyUUID, "account": anyUUID, "app": anyUUID, "pause": anyUUID,
	"hash": anyHash, "item": anyHash, "status": `([a-z-]+)`, "operation": `([a-z]+)`, "scope": `([aef])`,
	"scoped": anyUUID, "limit": `((?:<[^:>]*:[^>]*>)?)`, "key": `([0-9a-z]+-[0-9a-z]+)`,
}

var placeholder = regexp.MustCompile(`<[a-z.]+>`)

func (p *Pattern) compile() {
	var b strings.Builder
	b.WriteString("(?s)^")
	rest := p.Template
	for {
		span := placeholder.FindStringIndex(rest)
		if span == nil {
			break
		}
		name := rest[span[0]+1 : span[1]-1]
		b.WriteString(regexp.QuoteMeta(rest[:span[0]]))
		form, ok := partForms[name]
		if !ok {
			form = anyText
		}
		b.WriteString(form)
		p.parts = append(p.parts, name)
		rest = rest[span[1]:]
	}
	b.WriteString(regexp.QuoteMeta(rest) + "$")
	p.regex = regexp.MustCompile(b.String())
}

// match gives the parts of a key of the pattern.
func (p *Pattern) match(key string) (Parts, bool) {
	p.once.Do(p.compile)
	found := p.regex.FindStringSubmatch(key)
	if found == nil {
		return nil, false
	}
	parts := Parts{}
	for i, name := range p.parts {
		if before, ok := parts[name]; ok && before != found[i+1] {
			return nil, false
		}
		parts[name] = found[i+1]
	}
	return parts, true
}

// Identify finds the pattern of a key.
func Identify(key string) (*Pattern, Parts, bool) {
	for _, p := range patterns[tagOf(key)] {
		if parts, ok := p.match(key); ok {
			return p, parts, true
		}
	}
	return nil, nil, false
}

// tagOf is what patterns are grouped by: the beginning of the hash tag.
func tagOf(key string) string {
	end := strings.IndexAny(key, ":}")
	if end < 0 {
		return ""
	}
	tag := key[:end+1]
	if _, known := patterns[tag]; known {
		return tag
	}
	return "{<environment>}"
}

// Patterns are all kinds of keys, in no order.
func Patterns() []*Pattern {
	var all []*Pattern
	for _, group := range patterns {
		all = append(all, group...)
	}
	return all
}

// Entry is one thing that stands in a key: the string itself, a field of a hash
// with its value, an element of a list, a member of a set.
type Entry struct{ Member, Value string }

// Check tells whether a key and one thing in it can be read. The error is
// [ErrUnknownKey], a [WrongTypeError] or a [ValueError].
func Check(key string, typ Type, e Entry) error {
	p, _, ok := Identify(key)
	if !ok {
		return fmt.Errorf("%w: %.200q", ErrUnknownKey, key)
	}
	if p.Type != "" && typ != p.Type {
		return &WrongTypeError{Key: key, Want: p.Type, Got: typ}
	}
	at := Place{Key: key, Member: e.Member}
	if p.member != nil {
		if err := p.member(at, e.Member); err != nil {
			return err
		}
	}
	if p.value != nil {
		return p.value(at, e.Value)
	}
	return nil
}
