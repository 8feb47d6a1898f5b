package function

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"jetstep/expr"
)

// TriggerNames lists the trigger texts that an event of that name can match:
// the name itself, and for each / and . in it the text up to and including it
// followed by * (sdk-protocol §6.5). A trigger matches by equality with one of
// them; there is no other globbing.
func TriggerNames(eventName string) []string {
	names := []string{eventName}
	for i := range len(eventName) {
		if eventName[i] == '/' || eventName[i] == '.' {
			names = append(names, eventName[:i+1]+"*")
		}
	}
	return names
}

// IsCron tells whether the trigger is a schedule.
func (t Trigger) IsCron() bool {
	return t.Cron != ""
}

// IsWildcard tells whether the trigger may match events of several names.
func (t Trigger) IsWildcard() bool {
	return strings.HasSuffix(t.Event, "/*") || strings.HasSuffix(t.Event, ".*")
}

// Matches tells whether an event of that name may start the trigger, its
// expression aside.
func (t Trigger) Matches(eventName string) bool {
	if t.Event == "" {
		return false
	}
	if t.Event == eventName {
		return true
	}
	return t.IsWildcard() && len(eventName) >= len(t.Event)-1 && strings.HasPrefix(eventName, t.Event[:len(t.Event)-1])
}

// EventTriggers are the function's triggers that an event of that name may
// start, in declared order.
func (f *Function) EventTriggers(eventName string) []Trigger {
	var matching []Trigger
	for _, t := range f.Triggers {
		if t.Matches(eventName) {
			matching = append(matching, t)
		}
	}
	return matching
}

// TriggeredBy tells whether an event of that name starts the function: whether
// one of its triggers fits. fields are the event's for expressions, asked for
// when the first one needs them. The error is of an expression that failed, when
// no other trigger fits.
func (f *Function) TriggeredBy(eventName string, fields func() (map[string]any, error)) (bool, error) {
	var failed error
	for _, trigger := range f.EventTriggers(eventName) {
		if trigger.Expression == "" {
			return true, nil
		}
		event, err := fields()
		if err != nil {
			return false, err
		}
		fits, err := expr.EvalBool(trigger.Expression, map[string]any{"event": event})
		if err != nil {
			failed = fmt.Errorf("%q: %w", trigger.Expression, err)
			continue
		}
		if fits {
			return true, nil
		}
	}
	return false, failed
}

// CronTrigger is the function's trigger with that schedule; ok is false when
// it no longer has one.
func (f *Function) CronTrigger(schedule string) (trigger Trigger, ok bool) {
	i := slices.IndexFunc(f.Triggers, func(t Trigger) bool { return t.Cron == schedule })
	if i < 0 || schedule == "" {
		return Trigger{}, false
	}
	return f.Triggers[i], true
}

// Hash identifies the trigger's configuration: xxHash64 of its stored JSON.
func (t Trigger) Hash() (string, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encoding trigger: %w", err)
	}
	return HashHex(string(data)), nil
}
