package database

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestGoTimeText compares with what time makes of the same layout.
func TestGoTimeText(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Date(2026, 11, 5, 3, 7, 9, 0, time.UTC), time.Date(2026, 11, 25, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1_000, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 1, 12, 30, 0, 120_000_000, time.FixedZone("X", 3600)),
	} {
		require.Equal(t, at.UTC().Format(goTime), goTimeText(at))
	}
}

func TestStorable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":"b"}`:          `{"a":"b"}`,
		`"\u0000"`:           `"\ufffd"`,
		`"\\\\u0000"`:        `"\\\\u0000"`,
		`"\\\\\u0000"`:       `"\\\\\ufffd"`,
		`"\ud83d\ude00"`:     `"\ud83d\ude00"`,
		`"\ud83d"`:           `"\ufffd"`,
		`"\ude00\ud83d x\n"`: `"\ufffd\ufffd x\n"`,
		`"\u00e9\t"`:         `"\u00e9\t"`,
		"\"a\x00\xff\"":      "\"a\ufffd\ufffd\"",
		`"cut short \u00`:    `"cut short \u00`,
		`"ends with \`:       `"ends with \`,
	} {
		require.Equal(t, want, string(storable(json.RawMessage(in))), in)
	}
	require.Nil(t, storable(nil))
}
