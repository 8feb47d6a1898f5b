package format_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
)

const (
	someULID = "01M8AD14TYMQ5K1BB1TJENP767"
	someUUID = "f0d3c9a3-4fce-5cfa-8255-430b5a650453"
)

// item is the JSON of a good item with one thing replaced.
func item(old, replacement string) string {
	good := `{"id":"34e8ma0rbg1h2","at":1795645543265,"wt":1795645543266,"wfID":"` + someUUID + `","wsID":"` + someUUID +
		`","genID":1,"data":{"wsID":"` + someUUID + `","kind":"start","identifier":{"runID":"` + someULID + `","wID":"` + someUUID +
		`","wv":3,"evtID":"` + someULID + `","eventIDs":["` + someULID + `"],"aID":"` + someUUID + `","wsID":"` + someUUID +
		`","appID":"` + someUUID + `","pf":0},"atts":0,"maxAtts":21,"payload":{"edge":{"incoming":"$trigger","outgoing":""}},"pf":0},"eat":1795645543266}`
	return strings.Replace(good, old, replacement, 1)
}

var here = format.Place{Key: format.ItemsKey, Member: "34e8ma0rbg1h2"}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, field, want string }{
		"nothing":            {"", "", "not JSON"},
		"cut off":            {item("}", "")[:100], "", "not JSON"},
		"something after it": {item("", "") + "x", "", "not JSON"},
		"null":               {"null", "", "null"},
		"a list":             {"[]", "", "cannot unmarshal array"},
		"a number":           {"7", "", "cannot unmarshal number"},
		"a fraction":         {item("1795645543265", "1.5"), "at", "is no whole number"},
		"a text for a time":  {item("1795645543265", `"now"`), "at", "is no whole number"},
		"a damaged number":   {item("1795645543265", "1e+99"), "at", "is no whole number"},
		"a short ULID":       {item(`"runID":"`+someULID, `"runID":"01M8`), "data.identifier.runID", "no ULID"},
		"a lower-case ULID":  {item(`"runID":"`+someULID, `"runID":"`+strings.ToLower(someULID)), "data.identifier.runID", "no ULID"},
		"an empty UUID":      {item(`"wfID":"`+someUUID, `"wfID":"`), "wfID", "no UUID"},
		"a braced UUID":      {item(`"wfID":"`+someUUID, `"wfID":"{`+someUUID+`}`), "wfID", "no UUID"},
		"a number for an id": {item(`"id":"34e8ma0rbg1h2"`, `"id":5`), "id", "cannot unmarshal number"},
		"a bad one in a list": {item(`["`+someULID, `["`+someULID+`","x`),
			"data.identifier.eventIDs.1", "no ULID"},
		"an object for a list": {item(`["`+someULID+`"]`, `{"a":1}`), "data.identifier.eventIDs", "an object where a list"},
		"a text for a list":    {item(`["`+someULID+`"]`, `"a"`), "data.identifier.eventIDs", "cannot unmarshal string"},
		"a text for an object": {item(`{"runID"`, `"x","zz":{"runID"`), "data.identifier", "cannot unmarshal string"},
		"a pointer":            {item(`"maxAtts":21`, `"maxAtts":"x"`), "data.maxAtts", "no whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := format.Decode[format.Item](here, c.text)
			var bad *format.ValueError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, here, bad.Place)
			require.Equal(t, c.field, bad.Field)
			require.ErrorContains(t, bad.Unwrap(), c.want)
			require.ErrorContains(t, err, "value of {queue}:queue:item [34e8ma0rbg1h2]: ")
			require.Zero(t, v, "nothing of it is used")
		})
	}
}

// TestDecodeTolerates what scripts of the original make of a value
// (redis-queue §3.3), and what later servers may add.
func TestDecodeTolerates(t *testing.T) {
	t.Parallel()
	text := item(`["`+someULID+`"]`, `{}`)
	text = strings.Replace(text, `"genID":1`, `"genID":1.0,"leaseID":null,"new":{"a":[],"b":"<"}`, 1)
	text = strings.Replace(text, `"pf":0}`, `"pf":1e+02,"also":1}`, 1)
	v, err := format.Decode[format.Item](here, " "+text+"\n")
	require.NoError(t, err)
	require.Equal(t, 1, v.Generation)
	require.Nil(t, v.LeaseID)
	require.Empty(t, v.Data.Identifier.EventIDs)
	require.EqualValues(t, 100, *v.Data.Identifier.Priority)
	require.Equal(t, format.Rest{"new": json.RawMessage(`{"a":[],"b":"<"}`)}, v.Rest)

	out, err := format.Encode(v)
	require.NoError(t, err)
	require.Contains(t, out, `"pf":100,"also":1}`, "what is not known stays where it was")
	require.True(t, strings.HasSuffix(out, `,"new":{"a":[],"b":"\u003c"}}`), out)
	require.NotContains(t, out, "leaseID")
	again, err := format.Decode[format.Item](here, out)
	require.NoError(t, err)
	again.Rest, v.Rest = nil, nil // escaped otherwise
	require.Equal(t, v, again)
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	_, err := format.Encode(format.Item{Data: format.ItemData{Payload: json.RawMessage("{")}})
	require.ErrorContains(t, err, "encode format.Item: data.payload")
	_, err = format.Encode([]format.Debounced{{Event: json.RawMessage("x")}})
	require.ErrorContains(t, err, "0.e")
	_, err = (&format.Metadata{Context: format.Context{Trace: json.RawMessage("x")}}).Encode()
	require.ErrorContains(t, err, "metadata of run")
}

func TestItem(t *testing.T) {
	t.Parallel()
	v, err := format.Decode[format.Item](here, item("", ""))
	require.NoError(t, err)
	require.Equal(t, someUUID, v.Partition())
	require.Equal(t, 21, v.MaxAttempts())
	account := uuid.MustParse(someUUID)
	require.Equal(t, format.FunctionPartition(v.FunctionID, account), format.PartitionOf(&v))

	v.Data.MaxAttempts, v.Queue, v.Data.Queue = nil, "cancel", "cancel"
	require.Equal(t, 4, v.MaxAttempts())
	require.Equal(t, "cancel", v.Partition())
	text, err := format.Encode(format.PartitionOf(&v))
	require.NoError(t, err)
	require.Equal(t, `{"id":"cancel","queue":"cancel","aID":"00000000-0000-0000-0000-000000000000","last":0,"forceAtMS":0}`, text)
	require.True(t, format.ParallelQueue(format.QueueCron(account)))
	require.True(t, format.ParallelQueue("schedule-batch:x"))
	require.False(t, format.ParallelQueue(v.Partition()))

	_, err = format.PayloadOf[format.CancelPayload](here, &v)
	require.NoError(t, err, "members that are not there are zero")
	v.Data.Payload = json.RawMessage(`{"edge":{"gen":5}}`)
	_, err = format.PayloadOf[format.EdgePayload](here, &v)
	require.ErrorContains(t, err, "[34e8ma0rbg1h2]: data.payload.edge.gen: ")
	v.Data.Payload = nil
	_, err = format.PayloadOf[format.EdgePayload](here, &v)
	require.ErrorContains(t, err, "[34e8ma0rbg1h2]: data.payload: not JSON")
}

func TestItemCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*format.Item){
		"without id":           func(i *format.Item) { i.ID = "" },
		"without kind":         func(i *format.Item) { i.Data.Kind = "" },
		"names two queues":     func(i *format.Item) { i.Queue = "cancel" },
		"without function":     func(i *format.Item) { i.FunctionID = uuid.Nil },
		`parallel mode "None"`: func(i *format.Item) { i.Data.ParallelMode = "None" },
		"which scripts damage": func(i *format.Item) { i.Idempotency = 100_000_000_000_000 },
		"-100000000000001":     func(i *format.Item) { i.At = -100_000_000_000_001 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := format.Decode[format.Item](here, item("", ""))
			require.NoError(t, err)
			v.Data.ParallelMode = format.ModeRace
			require.NoError(t, v.Check())
			change(&v)
			require.ErrorContains(t, v.Check(), name)
		})
	}
}

func TestMetadataOfFewFields(t *testing.T) {
	t.Parallel()
	const id = `{"runID":"` + someULID + `"}`
	m, err := format.DecodeMetadata("k", map[string]string{"id": id, "status": "5.0", "die": "1", "hasAI": "yes", "ctx": "null", "later": "x"})
	require.NoError(t, err)
	require.Equal(t, 5, m.Status)
	require.Equal(t, format.RequestUndecided, m.RequestVersion)
	require.True(t, m.ForcePlan)
	require.False(t, m.HasAI)
	require.Equal(t, map[string]string{"later": "x"}, m.Rest)
	m.DeferSize = 12
	hash, err := m.Encode()
	require.NoError(t, err)
	require.Equal(t, "x", hash["later"])
	require.Equal(t, "12", hash[format.FieldDeferSize])

	_, err = format.DecodeMetadata("k", map[string]string{"status": "5"})
	require.ErrorIs(t, err, format.ErrNoRun)
	for field, hash := range map[string]map[string]string{
		"status": {"id": id}, "rv": {"id": id, "status": "5", "rv": "two"}, "id": {"id": "x", "status": "5"},
		"ctx": {"id": id, "status": "5", "ctx": `{"__fnslug":1}`},
	} {
		_, err = format.DecodeMetadata("k", hash)
		var bad *format.ValueError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, format.Place{Key: "k", Member: field}, bad.Place)
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	run := ulid.MustParse(someULID)
	for text, want := range map[string]format.Claim{
		someULID: {RunID: run}, "-" + someULID: {RunID: run, Ended: true}, "-": {Ended: true},
	} {
		got, err := format.DecodeClaim("k", text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.Encode())
	}
	for _, text := range []string{"", "--" + someULID, "x"} {
		_, err := format.DecodeClaim("k", text)
		require.ErrorContains(t, err, "value of k: ")
	}
}

func TestLeases(t *testing.T) {
	t.Parallel()
	const lease, end = "01M8AD3F0GX37F3BFW9ZV90VY3", 1795645619216 // redis-queue §3.2
	require.EqualValues(t, end, format.LeaseText(lease))
	require.Zero(t, format.LeaseText("01M8"))
	require.Zero(t, format.LeaseText(""))
	id := ulid.MustParse(lease)
	require.True(t, format.Leased(&id, end-1))
	require.False(t, format.Leased(&id, end), "strictly later")
	require.False(t, format.Leased(nil, 0))
}

func TestPause(t *testing.T) {
	t.Parallel()
	p := format.Pause{Event: "a", Opcode: format.OpWaitForEvent, Expires: 601_999}
	require.Equal(t, "a", p.IndexEvent())
	require.EqualValues(t, 601+format.PauseGrace, p.Lifetime(time.UnixMilli(0)))
	p.Opcode, p.Cancel = "", true
	require.Equal(t, "a", p.IndexEvent())
	p.Correlation = "c"
	require.Empty(t, p.IndexEvent())
	require.Empty(t, (&format.Pause{Signal: "s", Event: "a"}).IndexEvent())
}

// TestTimesOfLimits: the times of throttle.json read and written.
func TestTimesOfLimits(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(fixtures + "throttle.json")
	require.NoError(t, err)
	var timelines []struct {
		Kind  string
		Steps []struct {
			TAT string `json:"stored_tat"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &timelines))
	times := 0
	for _, line := range timelines {
		write := format.ThrottleTAT
		if line.Kind == "rate_limit" {
			write = format.RateTAT
		}
		for _, step := range line.Steps {
			if step.TAT == "" {
				continue
			}
			tat, err := format.ParseTAT(format.Place{}, step.TAT)
			require.NoError(t, err)
			require.Equal(t, step.TAT, write(tat))
			times++
		}
	}
	require.Greater(t, times, 50)
}

// FuzzDecode: whatever stands in Redis, reading it gives a value that can be
// written and read again, or an error.
func FuzzDecode(f *testing.F) {
	f.Add(item("", ""))
	f.Add(`{"id":"x","data":{"identifier":{"eventIDs":{}},"payload":[1,{"a":null}]},"rest":{"a":1}}`)
	f.Add(`{"leaseID":"` + someULID + `","cl":{"l":null,"i":1e3}}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := format.Decode[format.Item](here, text)
		if err != nil {
			var bad *format.ValueError
			require.ErrorAs(t, err, &bad)
			return
		}
		out, err := format.Encode(v)
		require.NoError(t, err)
		again, err := format.Decode[format.Item](here, out)
		require.NoError(t, err, out)
		twice, err := format.Encode(again)
		require.NoError(t, err)
		require.Equal(t, out, twice)
	})
}
