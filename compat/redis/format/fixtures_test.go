package format_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
)

const fixtures = "../../../tests/testdata/fixtures/"

// entry is one key of a captured Redis.
type entry struct {
	Key   string
	Type  format.Type
	Value json.RawMessage
}

// placed is one thing that stands in a captured key.
type placed struct {
	format.Entry
	at format.Place
}

// readCaptures reads all captured databases by the name of their file.
func readCaptures(t *testing.T) map[string][]entry {
	t.Helper()
	files, err := filepath.Glob(fixtures + "redis-*/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 80)
	captures := map[string][]entry{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var entries []entry
		require.NoError(t, json.Unmarshal(text, &entries), file)
		require.NotEmpty(t, entries)
		captures[filepath.Base(file)] = entries
	}
	return captures
}

// things are what stands in a key.
func (e entry) things(t *testing.T) []placed {
	t.Helper()
	var all []placed
	put := func(member, value string) {
		all = append(all, placed{format.Entry{Member: member, Value: value}, format.Place{Key: e.Key, Member: member}})
	}
	switch e.Type {
	case format.String:
		var s string
		require.NoError(t, json.Unmarshal(e.Value, &s))
		put("", s)
	case format.Hash:
		for field, value := range e.hash(t) {
			put(field, value)
		}
	case format.List:
		var items []string
		require.NoError(t, json.Unmarshal(e.Value, &items))
		for i, item := range items {
			put(fmt.Sprint(i), item)
		}
	case format.Set:
		var items []string
		require.NoError(t, json.Unmarshal(e.Value, &items))
		for _, item := range items {
			put(item, "")
		}
	case format.Sorted:
		var items [][2]any
		require.NoError(t, json.Unmarshal(e.Value, &items))
		for _, item := range items {
			put(item[0].(string), "")
		}
	default:
		t.Fatalf("%s: type %s", e.Key, e.Type)
	}
	return all
}

func (e entry) hash(t *testing.T) map[string]string {
	t.Helper()
	var fields map[string]string
	require.NoError(t, json.Unmarshal(e.Value, &fields), e.Key)
	return fields
}

// gone is a key that expired while it was captured.
func (e entry) gone() bool { return e.Type == "none" }
