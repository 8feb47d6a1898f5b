package bus

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// natsClient is an operator's connection to the server.
func (n *natsServer) client() jetstream.JetStream {
	n.t.Helper()
	l, err := (&Bus{cfg: Config{URLs: []string{n.url()}}.withDefaults()}).dial(func(error) {})
	require.NoError(n.t, err)
	n.t.Cleanup(l.nc.Close)
	return l.js
}

// tryOpen opens a bus that should not open.
func tryOpen(t *testing.T, cfg Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := Open(ctx, cfg)
	if err == nil {
		b.Close()
	}
	require.Error(t, err)
	return err
}

func streamNames(t *testing.T, js jetstream.JetStream) []string {
	t.Helper()
	var names []string
	list := js.StreamNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	require.NoError(t, list.Err())
	return names
}

func TestOpenMakesAnInstallation(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(func(c *Config) { c.Partitions, c.EventMaxBytes = 2, 1<<30 })
	require.Equal(t, 2, b.Partitions())
	require.ElementsMatch(t, []string{"EVENTS", "LOG_0", "LOG_1", "IN_0", "IN_1", "KV_JETSTEP_REGISTRY", "KV_JETSTEP_CLUSTER", "TRACES", "TOLD"}, streamNames(t, b.control.js))
	for name, check := range map[string]func(jetstream.StreamConfig){
		"EVENTS": func(c jetstream.StreamConfig) {
			require.Equal(t, 7*24*time.Hour, c.MaxAge)
			require.Equal(t, int64(1<<30), c.MaxBytes)
			require.Equal(t, "2", c.Metadata[metaPartitions])
			require.Equal(t, schemaVersion, c.Metadata[metaSchema])
		},
		"LOG_1": func(c jetstream.StreamConfig) {
			require.Equal(t, jetstream.DiscardNew, c.Discard)
			require.Zero(t, c.MaxAge)
			require.Equal(t, []string{"jetstep.log.1.>"}, c.Subjects)
		},
		"IN_0": func(c jetstream.StreamConfig) {
			require.Equal(t, jetstream.DiscardNew, c.Discard)
			require.Zero(t, c.MaxAge, "what waits for an owner is not lost")
			require.Equal(t, 2*time.Minute, c.Duplicates)
		},
	} {
		info, err := b.findStream(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, jetstream.FileStorage, info.Config.Storage)
		require.Equal(t, int64(-1), info.Config.MaxMsgsPerSubject)
		require.True(t, info.Config.AllowDirect)
		check(info.Config)
	}
}

// Opening again changes nothing, whatever the new process asks for.
func TestOpenKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	first := n.open(func(c *Config) { c.Partitions = 3 })
	require.NoError(t, first.Publish(t.Context(), numbered(5)))
	before := map[string]*jetstream.StreamInfo{}
	for _, name := range streamNames(t, first.control.js) {
		info, err := first.findStream(t.Context(), name)
		require.NoError(t, err)
		before[name] = info
	}
	log := &captureLog{}
	second := n.open(func(c *Config) {
		c.Partitions, c.EventMaxAge, c.Replicas = 8, time.Hour, 3
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	require.Equal(t, 3, second.Partitions(), "the recorded number counts")
	require.Contains(t, log.String(), "fewer replicas than configured")
	require.Equal(t, uint64(5), second.LastEvent())
	require.Len(t, streamNames(t, first.control.js), len(before))
	for name, info := range before {
		now, err := first.findStream(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, info.Config, now.Config)
		require.Equal(t, info.Created, now.Created)
	}
}

func TestOpenUpgradesWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(nil)
	require.NoError(t, b.Publish(t.Context(), numbered(5)))
	operator := n.client()
	change := func(name string, edit func(*jetstream.StreamConfig)) {
		info, err := b.findStream(t.Context(), name)
		require.NoError(t, err)
		edit(&info.Config)
		_, err = operator.UpdateStream(t.Context(), info.Config)
		require.NoError(t, err)
	}
	change(eventsStream, func(c *jetstream.StreamConfig) {
		// An operator's:
		c.MaxAge, c.MaxBytes, c.Compression = time.Hour, 1<<20, jetstream.S2Compression
		c.Metadata["owner"] = "ops"
		// As an older version would have made it:
		c.Description, c.AllowDirect, c.MaxMsgsPerSubject = "older", false, 10
	})
	change("LOG_0", func(c *jetstream.StreamConfig) {
		c.MaxBytes = 1 << 30
		c.Discard, c.MaxAge = jetstream.DiscardOld, time.Hour
	})
	n.open(nil)

	events, err := b.findStream(t.Context(), eventsStream)
	require.NoError(t, err)
	require.Equal(t, "every accepted event", events.Config.Description)
	require.True(t, events.Config.AllowDirect)
	require.Equal(t, int64(-1), events.Config.MaxMsgsPerSubject)
	require.Equal(t, time.Hour, events.Config.MaxAge)
	require.Equal(t, int64(1<<20), events.Config.MaxBytes)
	require.Equal(t, jetstream.S2Compression, events.Config.Compression)
	require.Equal(t, "ops", events.Config.Metadata["owner"])
	require.Equal(t, "1", events.Config.Metadata[metaPartitions])
	require.Equal(t, uint64(5), events.State.Msgs)
	log, err := b.findStream(t.Context(), "LOG_0")
	require.NoError(t, err)
	require.Equal(t, jetstream.DiscardNew, log.Config.Discard)
	require.Zero(t, log.Config.MaxAge)
	require.Equal(t, int64(1<<30), log.Config.MaxBytes)
}

func TestOpenRefusesUnusableStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream jetstream.StreamConfig
		says   string
	}{
		"foreign EVENTS":  {jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"orders.>"}}, "stream EVENTS is not jetstep's: it takes orders.>"},
		"foreign log":     {jetstream.StreamConfig{Name: "LOG_0", Subjects: []string{"syslog"}}, "stream LOG_0 is not jetstep's: it takes syslog"},
		"overlap":         {jetstream.StreamConfig{Name: "ALL", Subjects: []string{"jetstep.>"}}, "create stream LOG_0"},
		"work queue":      {jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"jetstep.event.>"}, Retention: jetstream.WorkQueuePolicy}, "its retention is WorkQueue, not limits"},
		"memory":          {jetstream.StreamConfig{Name: "LOG_0", Subjects: []string{"jetstep.log.0.>"}, Storage: jetstream.MemoryStorage}, "it is kept in memory"},
		"silent":          {jetstream.StreamConfig{Name: "IN_0", Subjects: []string{"jetstep.in.0.>"}, NoAck: true}, "it acknowledges nothing"},
		"sealed":          {jetstream.StreamConfig{Name: "IN_0", Subjects: []string{"jetstep.in.0.>"}, Sealed: true}, "it is sealed"},
		"mirror":          {jetstream.StreamConfig{Name: "IN_0", Mirror: &jetstream.StreamSource{Name: "OTHER"}}, "it copies another stream"},
		"odd partitions":  {jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"jetstep.event.>"}, Metadata: map[string]string{metaPartitions: "many"}}, "no valid number of partitions"},
		"more partitions": {jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"jetstep.event.>"}, Metadata: map[string]string{metaPartitions: "257"}}, "no valid number of partitions"},
		"newer schema": {jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"jetstep.event.>"},
			Metadata: map[string]string{metaPartitions: "1", metaSchema: "2"}}, `schema "2", this version of jetstep knows "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNATS(t, nil)
			js := n.client()
			c.stream.Description = "of someone else"
			sealed := c.stream.Sealed
			c.stream.Sealed = false
			_, err := js.CreateStream(t.Context(), c.stream)
			require.NoError(t, err)
			if sealed {
				c.stream.Sealed = true
				_, err = js.UpdateStream(t.Context(), c.stream)
				require.NoError(t, err)
			}
			err = tryOpen(t, Config{URLs: []string{n.url()}, Partitions: 1})
			require.ErrorContains(t, err, c.says)
			stream, err := js.Stream(t.Context(), c.stream.Name)
			require.NoError(t, err)
			require.Equal(t, "of someone else", stream.CachedInfo().Config.Description, "it is left alone")
		})
	}
}

// An operator may make EVENTS beforehand, with limits of his own.
func TestOpenTakesAPreparedStream(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	_, err := n.client().CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"jetstep.event.>"}, MaxBytes: 1 << 20})
	require.NoError(t, err)
	b := n.open(func(c *Config) { c.Partitions = 2 })
	require.Equal(t, 2, b.Partitions())
	info, err := b.findStream(t.Context(), eventsStream)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), info.Config.MaxBytes)
	require.Equal(t, "2", info.Config.Metadata[metaPartitions])
}

// Putting an empty stream in the place of a lost one would hide the loss.
func TestOpenRefusesAnInstallationWithAStreamMissing(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"LOG_1", "IN_0", "KV_JETSTEP_REGISTRY", "EVENTS"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			n := startNATS(t, nil)
			b := n.open(func(c *Config) { c.Partitions = 2 })
			_, err := appendOne(t, openLog(t, b), []byte("a record"))
			require.NoError(t, err)
			require.NoError(t, b.control.js.DeleteStream(t.Context(), lost))
			err = tryOpen(t, Config{URLs: []string{n.url()}, Partitions: 2})
			require.ErrorIs(t, err, ErrStreamMissing)
			require.NotContains(t, streamNames(t, n.client()), lost)
		})
	}
}

// The embedded server leaves out a stream whose files it cannot read.
func TestOpenRefusesAStoreWithAnUnreadableStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Config{StoreDir: dir, Partitions: 2})
	_, err := appendOne(t, openLog(t, b), []byte("a record"))
	require.NoError(t, err)
	b.Close()
	meta := filepath.Join(dir, "jetstream", "$G", "streams", "LOG_0", "meta.inf")
	require.NoError(t, os.WriteFile(meta, []byte("spoilt"), 0o600))
	err = tryOpen(t, Config{StoreDir: dir, Partitions: 2})
	require.ErrorIs(t, err, ErrStreamMissing)
	require.ErrorContains(t, err, "LOG_0")
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", "LOG_0", "msgs", "*.blk"))
	require.NoError(t, err)
	require.NotEmpty(t, blocks, "its data are still there to be repaired")
}

// A start that was interrupted is completed by the next.
func TestOpenCompletesAnInterruptedStart(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	b := n.open(func(c *Config) { c.Partitions = 3 })
	for _, name := range []string{"EVENTS", "KV_JETSTEP_REGISTRY", "KV_JETSTEP_CLUSTER", "LOG_2", "IN_2", "IN_1"} {
		require.NoError(t, b.control.js.DeleteStream(t.Context(), name))
	}
	again := n.open(func(c *Config) { c.Partitions = 3 })
	require.Equal(t, 3, again.Partitions())
	require.NoError(t, again.Publish(t.Context(), numbered(3)))
}

func TestOpenTogether(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	const processes = 6
	var all sync.WaitGroup
	partitions := make([]int, processes)
	for i := range processes {
		all.Go(func() {
			b, err := Open(context.Background(), Config{URLs: []string{n.url()}, Partitions: 1 + i%3})
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			partitions[i] = b.Partitions()
		})
	}
	all.Wait()
	for _, p := range partitions {
		require.Equal(t, partitions[0], p, "all agree on "+strconv.Itoa(p))
	}
}

func TestUpgradeLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	want := Config{}.withDefaults().eventsConfig()
	have := want
	have.Metadata = map[string]string{"a": "b"}
	out, changed := upgrade(have, want)
	require.True(t, changed)
	require.Equal(t, map[string]string{"a": "b"}, have.Metadata)
	require.Equal(t, "b", out.Metadata["a"])
	_, changed = upgrade(out, want)
	require.False(t, changed)
}
