package format

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
)

// Rest are the members of a JSON object that its Go type has no field for. They
// are written back after the others.
type Rest map[string]json.RawMessage

// object says how a struct with a field "Rest Rest" is coded. Its other fields
// are members in the order of the struct; of the options of a json tag it knows
// omitempty, which leaves out zero values and empty lists.
type object struct {
	members []member
	byName  map[string]int
	rest    int
}

type member struct {
	name      string
	quoted    []byte // name and colon
	field     int
	omitEmpty bool
}

var (
	objects sync.Map // reflect.Type → *object

	typeRest = reflect.TypeFor[Rest]()
	typeRaw  = reflect.TypeFor[json.RawMessage]()
)

// objectOf is nil for a type that is no such struct.
func objectOf(t reflect.Type) *object {
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := objects.Load(t); ok {
		return known.(*object)
	}
	o := &object{byName: map[string]int{}, rest: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == typeRest {
			o.rest = i
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		o.byName[name] = len(o.members)
		o.members = append(o.members, member{
			name: name, quoted: append(appendText(nil, name), ':'), field: i, omitEmpty: options == "omitempty",
		})
	}
	if o.rest < 0 {
		o = nil
	}
	objects.Store(t, o)
	return o
}

// fieldError is an error in a part of a value; path is from the outside in.
type fieldError struct {
	path []string
	err  error
}

func (e *fieldError) Error() string { return strings.Join(e.path, ".") + ": " + e.err.Error() }

// within adds the name of what the part is in.
func within(name string, err error) error {
	var inner *fieldError
	if errors.As(err, &inner) {
		return &fieldError{path: append([]string{name}, inner.path...), err: inner.err}
	}
	return &fieldError{path: []string{name}, err: err}
}
