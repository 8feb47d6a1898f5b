package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"jetstep/jcs"
)

// The bounds of sessions (http-api §5).
const (
	maxSessions   = 5
	maxSessionKey = 128 // bytes
	maxSessionID  = 512 // bytes
)

var errTooManySessions = errors.New("event sessions can include at most 5 entries")

// ResolveMeta reads an event's meta and returns what of it is stored:
// {"sessions":{…}} with text only, or nil. Sessions that the SDK inherited
// ("propagated") fill the places that the event's own leave, and an own entry
// that is null takes an inherited one out; null for all takes out all.
func ResolveMeta(raw []byte) (json.RawMessage, error) {
	var meta struct {
		Sessions   json.RawMessage `json:"sessions"`
		Propagated json.RawMessage `json:"propagated_sessions"`
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, err
	}
	own, err := parseSessions(meta.Sessions)
	if err != nil {
		return nil, err
	}
	inherited, err := parseSessions(meta.Propagated)
	if err != nil {
		return nil, err
	}
	if string(meta.Sessions) == "null" {
		inherited = nil
	}
	sessions, err := mergeSessions(own, inherited)
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	return json.Marshal(map[string]map[string]string{"sessions": sessions})
}

// mergeSessions puts inherited sessions below the own ones; nil stands for an
// entry that is null.
func mergeSessions(own, inherited map[string]*string) (map[string]string, error) {
	merged := map[string]string{}
	for key, id := range own {
		if id != nil {
			merged[key] = *id
		}
	}
	if len(merged) > maxSessions {
		return nil, errTooManySessions
	}
	for _, key := range slices.Sorted(maps.Keys(inherited)) {
		if _, decided := own[key]; decided || inherited[key] == nil {
			continue
		}
		if len(merged) == maxSessions {
			break
		}
		merged[key] = *inherited[key]
	}
	return merged, nil
}

// parseSessions reads and checks one map of sessions; numbers become text.
func parseSessions(raw json.RawMessage) (map[string]*string, error) {
	if jcs.IsNull(raw) {
		return nil, nil
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, err
	}
	sessions := make(map[string]*string, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		id, err := parseSession(key, entries[key])
		if err != nil {
			return nil, err
		}
		sessions[key] = id
	}
	return sessions, nil
}

// parseSession reads one entry, nil for null.
func parseSession(key string, raw json.RawMessage) (*string, error) {
	switch {
	case key == "":
		return nil, errors.New("event session keys cannot be empty")
	case len(key) > maxSessionKey:
		return nil, fmt.Errorf(`event session key "%s" exceeds %d bytes`, key, maxSessionKey)
	}
	id := string(raw)
	switch c := raw[0]; {
	case c == 'n':
		return nil, nil
	case c == '"':
		if err := json.Unmarshal(raw, &id); err != nil {
			return nil, err
		}
	case c != '-' && (c < '0' || c > '9'):
		return nil, fmt.Errorf(`event session "%s" must be a string, number, or null`, key)
	}
	switch {
	case id == "":
		return nil, fmt.Errorf(`event session "%s" cannot have an empty ID`, key)
	case len(id) > maxSessionID:
		return nil, fmt.Errorf(`event session "%s" exceeds %d bytes`, key, maxSessionID)
	}
	return &id, nil
}
