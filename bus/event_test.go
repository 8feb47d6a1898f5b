package bus

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	full := Event{
		ID: "id-1", Name: "app/x", TS: 17, V: "2024-01",
		Data: json.RawMessage(`{"a":1}`), User: json.RawMessage(`{"u":2}`), Meta: json.RawMessage(`{"sessions":{}}`),
	}
	bare := Event{ID: "i", Name: "n"}
	odd := Event{ID: "\"\\\n\r\t\b\f\x01\u2028é", Name: "a\xffb", TS: -1}
	for _, c := range []struct {
		name     string
		event    Event
		withUser bool
		want     string
	}{
		{"everything", full, false, `{"data":{"a":1},"id":"id-1","meta":{"sessions":{}},"name":"app/x","ts":17,"user":{"u":2},"v":"2024-01"}`},
		{"everything, for an SDK", full, true, `{"data":{"a":1},"id":"id-1","meta":{"sessions":{}},"name":"app/x","ts":17,"user":{"u":2},"v":"2024-01"}`},
		{"as little as possible", bare, false, `{"data":null,"id":"i","name":"n","ts":0}`},
		{"as little as possible, for an SDK", bare, true, `{"data":{},"id":"i","name":"n","ts":0,"user":{}}`},
		{"odd text", odd, false, `{"data":null,"id":"\"\\\n\r\t\b\f\u0001` + "\u2028" + `é","name":"a` + "\ufffd" + `b","ts":-1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := c.event.AppendJSON([]byte("kept"), c.withUser)
			require.Equal(t, "kept"+c.want, string(got))
			require.True(t, json.Valid(got[4:]))
			require.LessOrEqual(t, len(got), c.event.maxSize()+len(`{}"user":{}`))
		})
	}
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":         ``,
		"no JSON":         `hello`,
		"an array":        `[]`,
		"a string":        `"x"`,
		"no name":         `{"data":{}}`,
		"an empty name":   `{"name":""}`,
		"name no string":  `{"name":1}`,
		"data no object":  `{"name":"x","data":[1]}`,
		"data a string":   `{"name":"x","data":"{}"}`,
		"user no object":  `{"name":"x","user":1}`,
		"meta no object":  `{"name":"x","meta":true}`,
		"ts no number":    `{"name":"x","ts":"1"}`,
		"ts a fraction":   `{"name":"x","ts":1.5}`,
		"id no string":    `{"name":"x","id":{}}`,
		"text after it":   `{"name":"x"} y`,
		"two of them":     `{"name":"x"}{"name":"y"}`,
		"cut off":         `{"name":"x","data":{"a":`,
		"v no string":     `{"name":"x","v":2}`,
		"name in no UTF8": "{\"name\":\"\x00\"}",
	} {
		_, err := ParseEvent([]byte(body))
		require.ErrorContains(t, err, "not an event", name)
	}
}

func TestParseEventTakesNullForAbsent(t *testing.T) {
	t.Parallel()
	e, err := ParseEvent([]byte(` {"name":"x","data":null,"user":null,"meta":null,"unknown":[1]} `))
	require.NoError(t, err)
	require.Equal(t, &Event{Name: "x"}, e)
}

func TestEventRoundTrip(t *testing.T) {
	t.Parallel()
	text := func() string {
		const alphabet = "aé\"\\\n\x00\x1f\x7f\u2028\U0001F600/.<>&"
		var b strings.Builder
		runes := []rune(alphabet)
		for range rand.IntN(8) {
			b.WriteRune(runes[rand.IntN(len(runes))])
		}
		return b.String()
	}
	object := func() json.RawMessage {
		if rand.IntN(3) == 0 {
			return nil
		}
		raw, err := json.Marshal(map[string]any{text(): text(), "n": rand.Int()})
		require.NoError(t, err)
		return raw
	}
	for range 2000 {
		e := &Event{ID: text(), Name: "n" + text(), V: text(), TS: rand.Int64() - rand.Int64(), Data: object(), User: object(), Meta: object()}
		stored := e.JSON()
		require.True(t, json.Valid(stored), "%s", stored)
		require.LessOrEqual(t, len(stored), e.maxSize())
		back, err := ParseEvent(stored)
		require.NoError(t, err)
		require.Equal(t, e, back)
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, body := range []string{
		`{"data":{"a":1},"id":"i","meta":{"sessions":{}},"name":"app/x","ts":17,"user":{"u":2},"v":"1"}`,
		`{"data":null,"id":"i","name":"n","ts":0}`,
		`{"NAME":"n","Data":{},"ts":1e3}`,
		"{\"name\":\"\xff\"}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseEvent(body)
		if err != nil {
			return
		}
		require.NotEmpty(t, e.Name)
		stored := e.JSON()
		require.True(t, json.Valid(stored), "%s", stored)
		back, err := ParseEvent(stored)
		require.NoError(t, err)
		require.Equal(t, e, back)
		require.Equal(t, stored, back.JSON())
	})
}

func TestInternal(t *testing.T) {
	t.Parallel()
	for name, internal := range map[string]bool{"inngest/function.failed": true, "inngest/": true, "app/inngest/": false, "inngest": false} {
		require.Equal(t, internal, (&Event{Name: name}).Internal(), name)
	}
}

func TestDeliveryCompletesForeignEvents(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	// A NATS client that knows the subject but not our headers.
	_, err := b.Conn().Request(EventSubject(0, "app/n"), []byte(`{"name":"app/n","data":{"n":5}}`), patience)
	require.NoError(t, err)
	d := storedEvents(t, b)[0]
	require.True(t, d.InternalID.IsZero())
	e, err := d.Event()
	require.NoError(t, err)
	require.Equal(t, sequenceULID(d.StoredAt, d.Seq), e.InternalID)
	require.Equal(t, uint64(d.StoredAt.UnixMilli()), e.InternalID.Time())
	require.Equal(t, e.InternalID.String(), e.ID)
	require.Equal(t, d.StoredAt.UnixMilli(), e.TS)
	require.Equal(t, d.Seq, e.Seq)
	again, err := d.Event()
	require.NoError(t, err)
	require.Same(t, e, again)
}

func TestParseSource(t *testing.T) {
	t.Parallel()
	got, err := parseSource("3.18446744073709551615")
	require.NoError(t, err)
	require.Equal(t, &Source{From: 3, N: 1<<64 - 1}, got)
	got, err = parseSource("3.7.0")
	require.NoError(t, err)
	require.Equal(t, &Source{From: 3, N: 7, Next: true}, got)
	got, err = parseSource("3.7.5")
	require.NoError(t, err)
	require.Equal(t, &Source{From: 3, N: 7, Next: true, After: 5}, got)
	for _, s := range []string{"", "3", "x.1", "3.x", "3.-1", "3.1.2", "3.7.7", "3.7.x", "3.7.", "3.7.5.4"} {
		_, err := parseSource(s)
		require.Error(t, err, "%q", s)
	}
}
