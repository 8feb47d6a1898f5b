package bus

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// requireLegal wants escaped to be usable as the end of a subject: to publish
// to, without wildcards, and in JSON.
func requireLegal(t *testing.T, escaped string) {
	t.Helper()
	require.True(t, server.IsValidLiteralSubject(eventPrefix+"0."+escaped), "%q", escaped)
	require.True(t, utf8.ValidString(escaped), "%q", escaped)
	for token := range strings.SplitSeq(escaped, ".") {
		require.NotEmpty(t, token, "%q", escaped)
		require.False(t, strings.ContainsAny(token, " \t\r\n\x00*>"), "%q", escaped)
	}
}

func requireRoundTrip(t *testing.T, name string) {
	t.Helper()
	escaped := EscapeSubject(name)
	requireLegal(t, escaped)
	back, err := UnescapeSubject(escaped)
	require.NoError(t, err)
	require.Equal(t, name, back)
}

func TestEscapeSubjectEveryByte(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		b := string([]byte{byte(c)})
		for _, name := range []string{b, b + "a", "a" + b, "a" + b + "b", b + b, "a" + b + b + "b", "." + b, b + ".", "é" + b + "é"} {
			requireRoundTrip(t, name)
		}
	}
}

func TestEscapeSubjectRandomNames(t *testing.T) {
	t.Parallel()
	const alphabet = "ab/. .%*>$\x00\n\x7f\xff\xc3\xa9"
	seen := map[string]string{}
	for range 20_000 {
		name := make([]byte, 1+rand.IntN(12))
		for i := range name {
			name[i] = alphabet[rand.IntN(len(alphabet))]
		}
		requireRoundTrip(t, string(name))
		escaped := EscapeSubject(string(name))
		if other, ok := seen[escaped]; ok {
			require.Equal(t, other, string(name))
		}
		seen[escaped] = string(name)
	}
}

func FuzzEscapeSubject(f *testing.F) {
	for _, name := range []string{"app/user.created", "..", "$SYS.x", "a%41", "\xff", "注文"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name != "" {
			requireRoundTrip(t, name)
		}
	})
}

func TestEscapeSubjectKeepsOrdinaryNames(t *testing.T) {
	t.Parallel()
	for name, escaped := range map[string]string{
		"app/user.created":          "app/user.created",
		"inngest/function.finished": "inngest/function.finished",
		"注文/作成":                     "注文/作成",
		"a b":                       "a%20b",
		"a..b":                      "a.%2Eb",
		".a.":                       "%2Ea%2E",
		"100%":                      "100%25",
		"$SYS.a":                    "%24SYS.a",
		"a*>":                       "a%2A%3E",
	} {
		require.Equal(t, escaped, EscapeSubject(name))
	}
}

func TestUnescapeSubjectRefuses(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"%", "%2", "a%2", "%zz", "a%+1b", "% 1"} {
		_, err := UnescapeSubject(token)
		require.Error(t, err, "%q", token)
	}
}

func TestEventNameNeedsPartition(t *testing.T) {
	t.Parallel()
	_, err := eventName("jetstep.event.x")
	require.Error(t, err)
	name, err := eventName(EventSubject(3, "a b.c"))
	require.NoError(t, err)
	require.Equal(t, "a b.c", name)
}

func TestPartitionOfIsStable(t *testing.T) {
	t.Parallel()
	// Changing these moves events and runs to other logs.
	require.Equal(t, 2, PartitionOf("app/user.created", 4))
	require.Equal(t, 1, PartitionOf("", 4))
	spread := map[int]int{}
	for i := range 1000 {
		spread[PartitionOf(strings.Repeat("k", i), 4)]++
	}
	for p := range 4 {
		require.Greater(t, spread[p], 150)
	}
}

// Everything that can be in a name must survive the server, whose API has
// subjects in JSON.
func TestOddNamesTravelThroughTheStream(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	var names []string
	for c := range 256 {
		names = append(names, "a"+string([]byte{byte(c)})+"b")
	}
	names = append(names, ".", "..", "a..b", "$JS.API.INFO", "注文", "a>", "*")
	for i, name := range names {
		require.NoError(t, b.Publish(t.Context(), []*Event{event(name, i)}))
	}
	for i, d := range storedEvents(t, b) {
		require.Equal(t, names[i], d.Name)
	}
	for i, name := range names {
		var found []int
		require.NoError(t, b.EventsBetween(t.Context(), name, 0, b.LastEvent(), func(d *Delivery) bool {
			found = append(found, number(t, d))
			return true
		}))
		require.Equal(t, []int{i}, found, "%q", name)
	}
}

func TestUsersSubscribeByPrefix(t *testing.T) {
	t.Parallel()
	b := open(t, Config{StoreDir: t.TempDir(), Partitions: 4, ListenPort: -1, ListenHost: "127.0.0.1"})
	nc, err := nats.Connect(b.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	sub, err := nc.SubscribeSync("jetstep.event.*.app/user.>")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	require.NoError(t, b.Publish(t.Context(), []*Event{event("app/order.created", 0), event("app/user.created", 1), event("app/user.deleted.hard", 2)}))
	for _, want := range []string{"app/user.created", "app/user.deleted.hard"} {
		m, err := sub.NextMsg(patience)
		require.NoError(t, err)
		name, err := eventName(m.Subject)
		require.NoError(t, err)
		require.Equal(t, want, name)
		e, err := ParseEvent(m.Data)
		require.NoError(t, err)
		require.Equal(t, want, e.Name)
	}
}
