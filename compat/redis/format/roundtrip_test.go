package format_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
)

// again reads a value and writes it.
func again[T any](t *testing.T, at format.Place, text string) string {
	t.Helper()
	v, err := format.Decode[T](at, text)
	require.NoError(t, err)
	require.Empty(t, unknown(reflect.ValueOf(v)), "members of %s that have no field", at)
	out, err := format.Encode(v)
	require.NoError(t, err)
	return out
}

// unknown are the names of members that a value keeps without knowing them.
func unknown(v reflect.Value) []string {
	var names []string
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return unknown(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			names = append(names, unknown(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if rest, ok := v.Field(i).Interface().(format.Rest); ok {
				for name := range rest {
					names = append(names, v.Type().Name()+"."+name)
				}
				continue
			}
			names = append(names, unknown(v.Field(i))...)
		}
	}
	return names
}

// codecs write again what was read, by the template of the key.
var codecs = map[string]func(*testing.T, format.Place, string) string{
	format.ItemsKey:                                 again[format.Item],
	format.PartitionsKey:                            again[format.Partition],
	format.BacklogsKey:                              again[format.Backlog],
	format.ShadowsKey:                               again[format.Shadow],
	format.DebouncesKey:                             again[format.Debounced],
	format.GatewaysKey:                              again[format.Gateway],
	"{<environment>}:conns":                         again[format.Connection],
	"{<environment>}:groups":                        again[format.WorkerGroup],
	"{<environment>}:request-lease:<request>":       again[format.RequestLease],
	"{estate}:pauses:<pause>":                       again[format.Pause],
	"{estate}:pause-events:<environment>:<...>":     again[format.Pause],
	"{estate:<run>}:defers-meta:<function>:<run>":   again[format.Defer],
	"{estate:<run>}:bulk-events:<function>:<run>":   eventsAgain,
	"{estate:<run>}:actions:<function>:<run>":       outputAgain,
	"{estate:<run>}:inputs:<function>:<run>":        outputAgain,
	"{queue:<function>}:batches:<batch>":            again[format.Batched],
	"{cs}:a:<account>:rs:<request>":                 again[format.Request],
	"{estate:<account>}:key:<...>":                  claimAgain,
	"{cs}:a:<account>:throttle:f:<function><limit>": tatAgain(format.ThrottleTAT),
	"{cs}:a:<account>:rl:f:<function><limit>":       tatAgain(format.RateTAT),
}

func eventsAgain(t *testing.T, at format.Place, text string) string {
	events, err := format.DecodeEvents(at.Key, text)
	require.NoError(t, err)
	out, err := format.Encode(events)
	require.NoError(t, err)
	return out
}

func outputAgain(t *testing.T, at format.Place, text string) string {
	output, err := format.DecodeOutput(at, text)
	require.NoError(t, err)
	out, err := format.Encode(output)
	require.NoError(t, err)
	return out
}

func claimAgain(t *testing.T, at format.Place, text string) string {
	claim, err := format.DecodeClaim(at.Key, text)
	require.NoError(t, err)
	return claim.Encode()
}

func tatAgain(write func(float64) string) func(*testing.T, format.Place, string) string {
	return func(t *testing.T, at format.Place, text string) string {
		tat, err := format.ParseTAT(at, text)
		require.NoError(t, err)
		return write(tat)
	}
}

// TestCapturedValues: every captured value is written as it was: to the byte
// when the original's server wrote it, and the same JSON when a script did.
func TestCapturedValues(t *testing.T) {
	t.Parallel()
	identical, same := map[string]int{}, map[string]int{}
	for file, entries := range readCaptures(t) {
		for _, e := range entries {
			if e.gone() {
				continue
			}
			pattern, _, _ := format.Identify(e.Key)
			codec, ok := codecs[pattern.Template]
			if !ok {
				continue
			}
			for _, thing := range e.things(t) {
				got := codec(t, thing.at, thing.Value)
				if got == thing.Value {
					identical[pattern.Template]++
					continue
				}
				require.NotEqual(t, order(t, got), order(t, thing.Value), "%s: %s\n%s\n%s", file, thing.at, got, thing.Value)
				require.Equal(t, meaning(t, thing.Value), meaning(t, got), "%s: %s", file, thing.at)
				same[pattern.Template]++
			}
		}
	}
	for template := range codecs {
		require.NotZero(t, identical[template]+same[template], "none was captured: %s", template)
	}
	// Of these the original's server has written some or all itself.
	for template, least := range map[string]int{
		format.ItemsKey: 70, format.PartitionsKey: 34, format.BacklogsKey: 3, format.DebouncesKey: 3,
		"{estate}:pauses:<pause>": 15, "{estate:<run>}:bulk-events:<function>:<run>": 90, "{queue:<function>}:batches:<batch>": 8,
		"{estate:<account>}:key:<...>": 90, "{cs}:a:<account>:throttle:f:<function><limit>": 3,
		"{cs}:a:<account>:rl:f:<function><limit>": 4, "{estate:<run>}:actions:<function>:<run>": 20,
	} {
		require.GreaterOrEqual(t, identical[template], least, template)
	}
}

// order are the names of all members as they stand in a text.
func order(t *testing.T, text string) []string {
	t.Helper()
	var names []string
	d := json.NewDecoder(strings.NewReader(text))
	var walk func()
	walk = func() {
		token, err := d.Token()
		require.NoError(t, err)
		switch token {
		case json.Delim('{'):
			for d.More() {
				name, err := d.Token()
				require.NoError(t, err)
				names = append(names, name.(string))
				walk()
			}
		case json.Delim('['):
			for d.More() {
				walk()
			}
		default:
			return
		}
		_, err = d.Token()
		require.NoError(t, err)
	}
	walk()
	return names
}

// meaning is a value without what says nothing: zeros, and the difference
// between empty lists and empty objects.
func meaning(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return significant(v)
}

func significant(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			if s := significant(value); s != nil {
				out[name] = s
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		var out []any
		for _, value := range v {
			out = append(out, significant(value))
		}
		if len(out) > 0 {
			return out
		}
	case json.Number:
		if f, _ := v.Float64(); f != 0 {
			return f
		}
	case bool:
		if v {
			return v
		}
	case string:
		if v != "" {
			return v
		}
	}
	return nil
}

// TestCapturedMetadata: the metadata of every captured run are written as they
// were, but for the two ways to say false.
func TestCapturedMetadata(t *testing.T) {
	t.Parallel()
	runs := 0
	for file, entries := range readCaptures(t) {
		for _, e := range entries {
			if pattern, _, ok := format.Identify(e.Key); !ok || pattern.Template != "{estate:<run>}:metadata:<run>" {
				continue
			}
			runs++
			want := e.hash(t)
			m, err := format.DecodeMetadata(e.Key, want)
			require.NoError(t, err)
			require.Empty(t, m.Rest, file)
			require.Empty(t, unknown(reflect.ValueOf(*m)))
			got, err := m.Encode()
			require.NoError(t, err)
			require.Equal(t, e.Key, format.MetadataKey(m.ID.RunID))
			require.Equal(t, format.StatusScheduled, m.Status)
			for field := range want {
				switch field {
				case "id", "ctx":
					require.Equal(t, meaning(t, want[field]), meaning(t, got[field]), "%s: %s", file, field)
				case "die", "hasAI":
					require.Equal(t, want[field] == "1", got[field] == "true", "%s: %s", file, field)
				default:
					require.Equal(t, want[field], got[field], "%s: %s", file, field)
				}
			}
			require.Len(t, got, len(want), file)
		}
	}
	require.Greater(t, runs, 90)
}
