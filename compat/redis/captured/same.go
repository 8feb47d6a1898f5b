package captured

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
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
	missing, more := Differ(Masked(t, redistest.Dump(t, want)), Masked(t, redistest.Dump(t, got)))
	require.Equal(t, missing, more, "only one of the two has it")
}

// Differ are the lines of [Masked] or [Timed] that only one of two databases has.
func Differ(want, got []string) (missing, more []string) {
	without := func(list, others []string) (only []string) {
		for _, line := range list {
			if !slices.Contains(others, line) {
				only = append(only, line)
			}
		}
		return only
	}
	return without(want, got), without(got, want)
}

var (
	ulids     = regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)
	uuids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times     = regexp.MustCompile(`\b[1-9]([0-9]{9,12}|[0-9]{18})(\.[0-9]+)?\b|\b1\.[0-9]+e\+18\b`)
	spans     = regexp.MustCompile(`^[0-9a-f]{16}$`)
	eventText = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// Masked are the contents of a database in order, a line for each key and member.
// Nothing of its times is in them.
func Masked(t *testing.T, dump map[string]redistest.Key) []string {
	t.Helper()
	return linesOf(t, dump, &mask{hashes: hashesIn(dump)})
}

// Timed is Masked with what is left to the times in a database, in minutes. It has to
// be called soon after the database was read.
func Timed(t *testing.T, dump map[string]redistest.Key) []string {
	t.Helper()
	return linesOf(t, dump, &mask{hashes: hashesIn(dump), now: time.Now()})
}

func linesOf(t *testing.T, dump map[string]redistest.Key, m *mask) (lines []string) {
	t.Helper()
	for name, k := range dump {
		if strings.Contains(name, ":ik:op:") || strings.HasPrefix(name, "{queue}:queue:s") && k.Type == "string" ||
			name == format.RoleInstrumentsKey {
			continue
		}
		if strings.HasSuffix(name, ":finalize") {
			k.Text = "<uuid>"
		}
		m.soon = soon
		if strings.Contains(name, ":partition:") || name == format.AccountsKey {
			m.soon = visit
		}
		name = m.text(name)
		if k.TTL > 0 {
			name += fmt.Sprintf(" (%d min)", minutes(k.TTL))
		}
		if k.Type == "string" {
			lines = append(lines, name+" = "+m.value(t, k.Text))
		}
		for member, value := range k.Things {
			lines = append(lines, name+" ["+m.text(member)+"] = "+m.value(t, value))
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
	for name := range dump {
		if _, key, ok := strings.Cut(name, ":ik:cc:"); ok && hashes[key] == "" {
			hashes[key] = "<lease's key>"
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

// mask hides what is another each time.
type mask struct {
	hashes map[string]string // ids that are hashes, with what they are of
	now    time.Time         // zero if times are hidden altogether
	soon   time.Duration     // what is nearer is as if it were now
}

// value masks a value, JSON member by member.
func (m *mask) value(t *testing.T, text string) string {
	t.Helper()
	var v any
	if (strings.HasPrefix(text, "{\"") || strings.HasPrefix(text, "[{")) && json.Unmarshal([]byte(text), &v) == nil {
		whole, err := json.MarshalIndent(tidy(v), "", " ")
		require.NoError(t, err)
		text = string(whole)
	}
	return m.text(text)
}

// tidy takes away what tracing leaves, and versions of functions.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, traced := range []string{"sys.trace", "metadata", "Metadata", "isr", "tc"} {
			delete(v, traced)
		}
		for name, value := range v {
			switch name {
			case "wv", "fnV", "cv", "source_fn_v":
				if n, ok := value.(float64); ok && n > 0 {
					v[name] = "<version>"
				}
			case "groupID", "pck":
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

func (m *mask) text(text string) string {
	if spans.MatchString(text) {
		return "<span>"
	}
	for _, hash := range slices.SortedFunc(maps.Keys(m.hashes), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, hash, m.hashes[hash])
	}
	text = ulids.ReplaceAllString(text, "<ulid>")
	text = eventText.ReplaceAllString(text, "<time>")
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "00000000-0000-") || id[14] == '5' {
			return id
		}
		return "<uuid>"
	})
	return times.ReplaceAllStringFunc(text, m.time)
}

// time masks a time in seconds, milliseconds or nanoseconds.
func (m *mask) time(text string) string {
	whole, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	unit, known := units[len(whole)]
	if m.now.IsZero() || err != nil || !known {
		return "<time>"
	}
	left := time.Unix(0, n*int64(unit)).Sub(m.now)
	if left < m.soon {
		return "<by now>"
	}
	return fmt.Sprintf("<in %d min>", minutes(left))
}

const (
	// soon is less than what most runs of captured databases wait for, and more than
	// leases last.
	soon = 40 * time.Second
	// visit is when a partition is looked at again, at the latest.
	visit = 65 * time.Second
)

// minutes tells durations from each other that are said in minutes, up to so much
// after they began.
func minutes(d time.Duration) int { return int((d + soon) / time.Minute) }
