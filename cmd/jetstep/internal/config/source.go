package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The prefixes of environment variables, strongest first.
var envPrefixes = []string{"JETSTEP_", "INNGEST_"}

// variables maps option names to values for one prefix: JETSTEP_POLL_INTERVAL
// is "poll-interval". Names that are no option are kept and never asked for.
type variables struct {
	prefix string
	values map[string]string
}

// variablesFrom reads "NAME=value" pairs. An empty value is as good as unset:
// compose files write it for variables that are not defined.
func variablesFrom(environ []string, prefix string) variables {
	v := variables{prefix: prefix, values: map[string]string{}}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && rest != "" && value != "" {
			v.values[strings.ReplaceAll(strings.ToLower(rest), "_", "-")] = value
		}
	}
	return v
}

// nameOf is the variable of an option, for messages.
func (v variables) nameOf(option string) string {
	return v.prefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// layers answers what an option's value is and who said so. The first
// conversion that fails is kept in err, so that a caller asks for all options
// and checks once.
type layers struct {
	mode  Mode
	given Given
	env   []variables
	file  file
	err   error
}

// find returns the strongest value of an option and the place it is from;
// place is "" when only the default remains. An option that the command does
// not accept has no value, whatever the environment says.
func (l *layers) find(name string) (value any, place string) {
	option, ok := optionOf(l.mode, name)
	if !ok {
		return "", ""
	}
	if v, ok := l.given[name]; ok {
		return v, "--" + name
	}
	for _, env := range l.env {
		if v, ok := env.values[name]; ok {
			return v, env.nameOf(name)
		}
	}
	if v := l.file.values[name]; v != nil && v != "" {
		return v, l.file.path
	}
	return option.Default, ""
}

// fail leaves the value out of the message when the option may be a secret.
func (l *layers) fail(name, place string, value any, want string) {
	if l.err != nil {
		return
	}
	if o, _ := optionOf(l.mode, name); o.Kind == String || o.Kind == List {
		l.err = invalid(name, "must be %s (from %s)", want, place)
		return
	}
	l.err = invalid(name, "must be %s, not %q (from %s)", want, fmt.Sprint(value), place)
}

// text does not accept a number of a config file: YAML reads 0123 as 83, and a
// key must not be changed by its notation.
func (l *layers) text(name string) string {
	value, place := l.find(name)
	v, ok := value.(string)
	if !ok {
		l.fail(name, place, value, "a text (in quotes)")
	}
	return v
}

// list drops empty items, because an empty event key would open the door to
// everyone. Blanks around items stay, as in the original (cli-config §17.12).
func (l *layers) list(name string) []string {
	value, place := l.find(name)
	var items []string
	switch v := value.(type) {
	case []string:
		items = v
	case string:
		items = strings.Split(v, ",")
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				l.fail(name, place, item, "a list of texts (in quotes)")
			}
			items = append(items, s)
		}
	default:
		l.fail(name, place, value, "a list")
	}
	kept := make([]string, 0, len(items))
	for _, item := range items {
		if item != "" {
			kept = append(kept, item)
		}
	}
	return kept
}

// trimmed is list for options whose items never contain blanks.
func (l *layers) trimmed(name string) []string {
	items := l.list(name)
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

func (l *layers) integer(name string) int {
	value, place := l.find(name)
	switch v := value.(type) {
	case int:
		return v
	case float64: // a JSON number
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v)
		}
	case string:
		if v == "" {
			return 0
		}
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
			return n
		}
	}
	l.fail(name, place, value, "a whole number")
	return 0
}

func (l *layers) boolean(name string) bool {
	value, place := l.find(name)
	switch v := value.(type) {
	case bool:
		return v
	case string:
		if v == "" {
			return false
		}
		if b, err := strconv.ParseBool(strings.TrimSpace(v)); err == nil {
			return b
		}
	}
	l.fail(name, place, value, "true or false")
	return false
}

func (l *layers) duration(name string) time.Duration {
	value, place := l.find(name)
	switch v := value.(type) {
	case time.Duration:
		return v
	case string:
		if v == "" {
			return 0
		}
		if d, err := time.ParseDuration(strings.TrimSpace(v)); err == nil {
			return d
		}
	}
	l.fail(name, place, value, "a duration such as 30s")
	return 0
}
