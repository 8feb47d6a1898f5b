package captured

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

// RequireSame compares what two databases hold.
func RequireSame(t *testing.T, want, got redis.UniversalClient) {
	t.Helper()
	wanted, there := Masked(t, redistest.Dump(t, want)), Masked(t, redistest.Dump(t, got))
	without := func(list, others []string) (only []string) {
		for _, line := range list {
			if !slices.Contains(others, line) {
				only = append(only, line)
			}
		}
		return only
	}
	require.Equal(t, without(wanted, there), without(there, wanted), "only one of the two has it")
}

var (
	ulids     = regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)
	uuids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times     = regexp.MustCompile(`\b[1-9][0-9]{9,12}(\.[0-9]+)?\b|\b1\.[0-9]+e\+18\b`)
	spans     = regexp.MustCompile(`^[0-9a-f]{16}$`)
	eventText = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// Masked are the contents of a database in order, a line for each key and member.
func Masked(t *testing.T, dump map[string]redistest.Key) []string {
	t.Helper()
	hashes := hashesIn(dump)
	var lines []string
	for name, k := range dump {
		if strings.Contains(name, ":ik:op:") || strings.HasPrefix(name, "{queue}:queue:s") && k.Type == "string" ||
			name == format.RoleInstrumentsKey {
			continue
		}
		if strings.HasSuffix(name, ":finalize") {
			k.Text = "<uuid>"
		}
		name = maskText(name, hashes)
		if k.TTL > 0 {
			name += fmt.Sprintf(" (%d min)", int((k.TTL+30*time.Second)/time.Minute))
		}
		if k.Type == "string" {
			lines = append(lines, name+" = "+maskValue(t, k.Text, hashes))
		}
		for member, value := range k.Things {
			lines = append(lines, name+" ["+maskText(member, hashes)+"] = "+maskValue(t, value, hashes))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// hashesIn are the ids of a database that are hashes of others, with what they are.
func hashesIn(dump map[string]redistest.Key) map[string]string {
	hashes := map[string]string{}
	for name, k := range dump {
		text := name + k.Text + fmt.Sprint(k.Things)
		for _, id := range ulids.FindAllString(text, -1) {
			hashes[function.Hash(id)] = "<hash of ulid>"
		}
		if _, key, ok := strings.Cut(name, "}:key:"); ok {
			key = strings.TrimSuffix(key, ":finalize")
			hashes[key], hashes[function.Hash(key)] = "<key>", "<hash of key>"
		}
	}
	for id := range dump[format.ItemsKey].Things {
		hashes[id] = "<item>"
	}
	for id := range dump[format.PauseIndexKey].Things {
		hashes[id] = "<pause>"
	}
	return hashes
}

// maskValue masks a value, JSON member by member.
func maskValue(t *testing.T, text string, hashes map[string]string) string {
	t.Helper()
	var v any
	if (strings.HasPrefix(text, "{\"") || strings.HasPrefix(text, "[{")) && json.Unmarshal([]byte(text), &v) == nil {
		whole, err := json.MarshalIndent(tidy(v), "", " ")
		require.NoError(t, err)
		text = string(whole)
	}
	return maskText(text, hashes)
}

// tidy takes away what tracing leaves, and versions of functions.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "sys.trace")
		delete(v, "metadata")
		for name, value := range v {
			switch name {
			case "wv", "fnV":
				if n, ok := value.(float64); ok && n > 0 {
					v[name] = "<version>"
				}
			case "groupID":
				if value != "" {
					v[name] = "<group>"
				}
			default:
				v[name] = tidy(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	case float64:
		return json.RawMessage(fmt.Sprintf("%.0f", v))
	}
	return v
}

func maskText(text string, hashes map[string]string) string {
	if spans.MatchString(text) {
		return "<span>"
	}
	for _, hash := range slices.SortedFunc(maps.Keys(hashes), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, hash, hashes[hash])
	}
	text = ulids.ReplaceAllString(text, "<ulid>")
	text = eventText.ReplaceAllString(text, "<time>")
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "00000000-0000-") || id[14] == '5' {
			return id
		}
		return "<uuid>"
	})
	text = times.ReplaceAllString(text, "<time>")
	return text
}
