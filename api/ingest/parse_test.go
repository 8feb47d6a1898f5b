package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

var now = time.Date(2026, 11, 25, 22, 11, 30, 291_000_000, time.UTC)

func names(events []*bus.Event) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names
}

// TestBodies is the body table of http-api §5.
func TestBodies(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		body        string
		contentType string
		want        []string
		err         string
	}{
		"object":                 {body: `{"name":"a"}`, want: []string{"a"}},
		"object, text":           {body: `{"name":"a"}`, contentType: "text/plain", want: []string{"a"}},
		"object, form":           {body: `{"name":"a"}`, contentType: form, want: []string{"a"}},
		"object in white space":  {body: " \n{\"name\" : \"a\"}\t\r\n", want: []string{"a"}},
		"array":                  {body: `[{"name":"a"},{"name":"b"}]`, want: []string{"a", "b"}},
		"array in white space":   {body: " [ {\"name\":\"a\"} , {\"name\":\"b\"} ] \n", want: []string{"a", "b"}},
		"empty":                  {body: ``},
		"white space":            {body: " \n"},
		"empty, form":            {body: ``, contentType: form},
		"empty array":            {body: `[]`},
		"array not closed":       {body: `[{"name":"ok1"}`, want: []string{"ok1"}},
		"array not begun":        {body: `[`},
		"form":                   {body: `name=a&data=b`, contentType: form, err: `json: cannot unmarshal array into Go struct field raw.name of type string`},
		"multipart":              {body: `name=a`, contentType: "multipart/form-data", err: `json: cannot unmarshal array into Go struct field raw.name of type string`},
		"form with parameters":   {body: `name=a`, contentType: form + "; charset=utf-8", err: `Request body must contain an event object or an array of event objects`},
		"text":                   {body: `hello`, err: `Request body must contain an event object or an array of event objects`},
		"string":                 {body: `"hello"`, err: `Request body must contain an event object or an array of event objects`},
		"null":                   {body: `null`, err: `Request body must contain an event object or an array of event objects`},
		"NDJSON":                 {body: "{\"name\":\"a\"}\n{\"name\":\"b\"}", err: `invalid character '{' after top-level value`},
		"truncated object":       {body: `{"name":"a"`, err: `unexpected end of JSON input`},
		"bad object":             {body: `{name:"a"}`, err: `invalid character 'n' looking for beginning of object key string`},
		"array, then text":       {body: `[{"name":"a"}] x`, want: []string{"a"}, err: `invalid character 'x' after top-level value`},
		"array without comma":    {body: `[{"name":"a"} {"name":"b"}]`, want: []string{"a"}, err: `invalid character '{' after array element`},
		"array ends in comma":    {body: `[{"name":"a"},]`, want: []string{"a"}, err: `invalid character ']' looking for beginning of value`},
		"array cut after comma":  {body: `[{"name":"a"},`, want: []string{"a"}, err: `unexpected end of JSON input`},
		"array cut in an event":  {body: `[{"name":"a"},{"name":`, want: []string{"a"}, err: `unexpected EOF`},
		"array with bad event":   {body: `[{"name":"a"},{x},{"name":"b"}]`, want: []string{"a"}, err: `invalid character 'x' looking for beginning of object key string`},
		"array of numbers":       {body: `[1]`, err: `Request body must contain an event object or an array of event objects`},
		"array of arrays":        {body: `[[{"name":"a"}]]`, err: `Request body must contain an event object or an array of event objects`},
		"array with null":        {body: `[{"name":"a"},null]`, want: []string{"a"}, err: `Request body must contain an event object or an array of event objects`},
		"array with NUL":         {body: "[\x00]", err: `invalid character '\x00' looking for beginning of value`},
		"array, one refused":     {body: `[{"name":"a"},{"name":""},{"name":"b"}]`, want: []string{"a"}, err: `event name is empty`},
		"array, first refused":   {body: `[{"name":""},{"name":"b"}]`, err: `event name is empty`},
		"array, one of bad type": {body: `[{"name":"a"},{"name":[1]}]`, want: []string{"a"}, err: `json: cannot unmarshal array into Go struct field raw.name of type string`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := Parse([]byte(test.body), test.contentType, "", now)
			require.Equal(t, test.want, names(events))
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.err)
			}
		})
	}
}

// TestRefusedEvents is the field table of http-api §5, by message.
func TestRefusedEvents(t *testing.T) {
	t.Parallel()
	entries := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"k%d":"v"`, i))
		}
		return strings.Join(list, ",")
	}
	tests := map[string]struct{ event, err string }{
		"no name":            {`{}`, `event name is empty`},
		"null name":          {`{"name":null}`, `event name is empty`},
		"empty name":         {`{"name":""}`, `event name is empty`},
		"number name":        {`{"name":1}`, `json: cannot unmarshal number into Go struct field raw.name of type string`},
		"reserved name":      {`{"name":"inngest/x"}`, `event name is reserved for internal use: inngest/x`},
		"RESERVED name":      {`{"name":"InnGest/x"}`, `event name is reserved for internal use: InnGest/x`},
		"escaped reserved":   {`{"name":"\u0069nngest/x"}`, `event name is reserved for internal use: inngest/x`},
		"long name":          {`{"name":"` + strings.Repeat("n", 1025) + `"}`, `event name exceeds 1024 bytes`},
		"data text":          {`{"name":"a","data":"x"}`, `json: cannot unmarshal string into Go struct field raw.data of type map[string]interface {}`},
		"data array":         {`{"name":"a","data":[]}`, `json: cannot unmarshal array into Go struct field raw.data of type map[string]interface {}`},
		"data too deep":      {`{"name":"a","data":` + strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat(`}`, 1000) + `}`, `exceeded max depth`},
		"data beyond float":  {`{"name":"a","data":{"a":1e999}}`, `json: cannot unmarshal number 1e999 into Go struct field raw.data of type float64`},
		"user text":          {`{"name":"a","user":"x"}`, `json: cannot unmarshal string into Go struct field raw.user of type map[string]interface {}`},
		"id number":          {`{"name":"a","id":1}`, `json: cannot unmarshal number into Go struct field raw.id of type string`},
		"v number":           {`{"name":"a","v":1}`, `json: cannot unmarshal number into Go struct field raw.v of type string`},
		"ts text":            {`{"name":"a","ts":"1"}`, `json: cannot unmarshal string into Go struct field raw.ts of type int64`},
		"ts fraction":        {`{"name":"a","ts":1700000000000.5}`, `json: cannot unmarshal number 1700000000000.5 into Go struct field raw.ts of type int64`},
		"ts exponent":        {`{"name":"a","ts":17e11}`, `json: cannot unmarshal number 17e11 into Go struct field raw.ts of type int64`},
		"ts 1979":            {`{"name":"a","ts":315532799999}`, `timestamp is before Jan 1, 1980`},
		"ts negative":        {`{"name":"a","ts":-1}`, `timestamp is before Jan 1, 1980`},
		"ts 2100":            {`{"name":"a","ts":4102444800001}`, `timestamp is after Jan 1, 2100`},
		"ts far":             {`{"name":"a","ts":9223372036855}`, `timestamp is after Jan 1, 2100`},
		"meta text":          {`{"name":"a","meta":"x"}`, `json: cannot unmarshal string into Go struct field raw.meta of type map[string]interface {}`},
		"session bool":       {`{"name":"a","meta":{"sessions":{"a":true}}}`, `event session "a" must be a string, number, or null`},
		"session object":     {`{"name":"a","meta":{"sessions":{"a":{}}}}`, `event session "a" must be a string, number, or null`},
		"six sessions":       {`{"name":"a","meta":{"sessions":{` + entries(6) + `}}}`, `event sessions can include at most 5 entries`},
		"empty session key":  {`{"name":"a","meta":{"sessions":{"":"v"}}}`, `event session keys cannot be empty`},
		"long session key":   {`{"name":"a","meta":{"sessions":{"` + strings.Repeat("k", 129) + `":"v"}}}`, `event session key "` + strings.Repeat("k", 129) + `" exceeds 128 bytes`},
		"empty session":      {`{"name":"a","meta":{"sessions":{"a":""}}}`, `event session "a" cannot have an empty ID`},
		"long session":       {`{"name":"a","meta":{"sessions":{"a":"` + strings.Repeat("v", 513) + `"}}}`, `event session "a" exceeds 512 bytes`},
		"propagated bool":    {`{"name":"a","meta":{"propagated_sessions":{"p":false}}}`, `event session "p" must be a string, number, or null`},
		"bad escape":         {`{"name":"a\x"}`, `invalid character 'x' in string escape code`},
		"control character":  {"{\"name\":\"a\nb\"}", `invalid character '\n' in string literal`},
		"leading zero":       {`{"name":"a","data":{"a":01}}`, `invalid character '1' after object key:value pair`},
		"trailing comma":     {`{"name":"a",}`, `invalid character '}' looking for beginning of object key string`},
		"no colon":           {`{"name" "a"}`, `invalid character '"' after object key`},
		"misspelled literal": {`{"name":nul}`, `invalid character '}' in literal null (expecting 'l')`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := Parse([]byte(test.event), "", "", now)
			require.EqualError(t, err, test.err)
			require.Empty(t, events)

			events, err = Parse([]byte(`[{"name":"first"},`+test.event+`]`), "", "", now)
			require.Error(t, err)
			require.Equal(t, []string{"first"}, names(events))
		})
	}
}

// TestStoredForm is what becomes of the fields of accepted events.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	const nowTS = `,"ts":1795644690291`
	tests := map[string]struct{ event, want string }{
		"no data":             {`{"name":"a"}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"null data":           {`{"name":"a","data":null,"user":null,"id":null,"v":null,"ts":null,"meta":null}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"everything":          {`{"id":"my","name":"a","data":{"b":1},"user":{"u":1},"ts":1700000000000,"v":"1","meta":{"sessions":{"s":"1"}}}`, `{"data":{"b":1},"id":"my","meta":{"sessions":{"s":"1"}},"name":"a","ts":1700000000000,"user":{"u":1},"v":"1"}`},
		"ts 0":                {`{"name":"a","ts":0}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"ts 1980":             {`{"name":"a","ts":315532800000}`, `{"data":null,"id":"ID","name":"a","ts":315532800000}`},
		"ts 2100":             {`{"name":"a","ts":4102444800000}`, `{"data":null,"id":"ID","name":"a","ts":4102444800000}`},
		"empty user":          {`{"name":"a","user":{ }}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"unknown fields":      {`{"x":[1,{"y":"\""}],"name":"a","data":{},"zzzzzzzz":null}`, `{"data":{},"id":"ID","name":"a"` + nowTS + `}`},
		"other case":          {`{"Name":"a","DATA":{"a":1},"Ts":1700000000000}`, `{"data":{"a":1},"id":"ID","name":"a","ts":1700000000000}`},
		"escaped field":       {`{"n\u0061me":"a","\\u006eame":"b"}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"the last name":       {`{"name":"a","name":"b"}`, `{"data":null,"id":"ID","name":"b"` + nowTS + `}`},
		"escapes":             {`{"name":"a\"\u00e9\n","id":"\ud83d\ude00"}`, `{"data":null,"id":"😀","name":"a\"é\n"` + nowTS + `}`},
		"long name":           {`{"name":"` + strings.Repeat("n", 600) + `"}`, `{"data":null,"id":"ID","name":"` + strings.Repeat("n", 600) + `"` + nowTS + `}`},
		"spaced data":         {"{\"name\":\"a\",\"data\": {\"a\" : [ 1 ,\t2 ] , \"b \\\" c\":\r\n{ } } }", `{"data":{"a":[1,2],"b \" c":{}},"id":"ID","name":"a"` + nowTS + `}`},
		"spaced user":         {`{"name":"a","user": {"a": 1} }`, `{"data":null,"id":"ID","name":"a"` + nowTS + `,"user":{"a":1}}`},
		"numbers stay":        {`{"name":"a","data":{"a":1.50,"b":-0,"c":1E2,"d":12345678901234567890}}`, `{"data":{"a":1.50,"b":-0,"c":1E2,"d":12345678901234567890},"id":"ID","name":"a"` + nowTS + `}`},
		"unicode":             {`{"name":"é","data":{"é":"日本"}}`, `{"data":{"é":"日本"},"id":"ID","name":"é"` + nowTS + `}`},
		"not UTF-8":           {"{\"name\":\"a\xff\",\"data\":{\"\xc3\":\"b\xc3\xa9\xff\"}}", `{"data":{"�":"bé�"},"id":"ID","name":"a�"` + nowTS + `}`},
		"surrogates":          {`{"name":"a","data":{"ok":"\ud83d\ude00\u0041","first":"\ud83d","second":"\ude00x","twice":"\ud83d\ud83d\ude00","odd":"\ud83d\n"}}`, `{"data":{"ok":"\ud83d\ude00\u0041","first":"\ufffd","second":"\ufffdx","twice":"\ufffd\ud83d\ude00","odd":"\ufffd\n"},"id":"ID","name":"a"` + nowTS + `}`},
		"_inngest":            {`{"name":"a","data":{"_inngest":{"fn_id":"x"}}}`, `{"data":{},"id":"ID","name":"a"` + nowTS + `}`},
		"_inngest among":      {`{"name":"a","data":{"a":1,"_inngest": [1, {"_inngest":2}],"b": "\ud83d","_inngest":null}}`, `{"data":{"a":1,"b":"\ufffd"},"id":"ID","name":"a"` + nowTS + `}`},
		"_inngest escaped":    {`{"name":"a","data":{"\u005finngest":1,"_inn\u0067est":2,"c":3}}`, `{"data":{"c":3},"id":"ID","name":"a"` + nowTS + `}`},
		"_inngest below":      {`{"name":"a","data":{"a":{"_inngest":1},"_inngest2":2,"\\_inngest":3}}`, `{"data":{"a":{"_inngest":1},"_inngest2":2,"\\_inngest":3},"id":"ID","name":"a"` + nowTS + `}`},
		"session types":       {`{"name":"a","meta":{"sessions":{"b":12,"a":-1.5,"c":"x","d":null},"other":1}}`, `{"data":null,"id":"ID","meta":{"sessions":{"a":"-1.5","b":"12","c":"x"}},"name":"a"` + nowTS + `}`},
		"no sessions":         {`{"name":"a","meta":{"sessions":{}}}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"propagated":          {`{"name":"a","meta":{"propagated_sessions":{"p":"1","q":2}}}`, `{"data":null,"id":"ID","meta":{"sessions":{"p":"1","q":"2"}},"name":"a"` + nowTS + `}`},
		"manual wins":         {`{"name":"a","meta":{"sessions":{"p":"own"},"propagated_sessions":{"p":"1","q":"2"}}}`, `{"data":null,"id":"ID","meta":{"sessions":{"p":"own","q":"2"}},"name":"a"` + nowTS + `}`},
		"null deletes":        {`{"name":"a","meta":{"sessions":{"p":null},"propagated_sessions":{"p":"1","q":"2"}}}`, `{"data":null,"id":"ID","meta":{"sessions":{"q":"2"}},"name":"a"` + nowTS + `}`},
		"null deletes all":    {`{"name":"a","meta":{"sessions":null,"propagated_sessions":{"p":"1"}}}`, `{"data":null,"id":"ID","name":"a"` + nowTS + `}`},
		"slots in byte order": {`{"name":"a","meta":{"sessions":{"x":"1","y":"2","z":"3"},"propagated_sessions":{"c":"6","a":"4","B":"5"}}}`, `{"data":null,"id":"ID","meta":{"sessions":{"B":"5","a":"4","x":"1","y":"2","z":"3"}},"name":"a"` + nowTS + `}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{test.event, "[" + test.event + "]"} {
				events, err := Parse([]byte(body), "", "", now)
				require.NoError(t, err)
				require.Len(t, events, 1)
				want := strings.Replace(test.want, `"id":"ID"`, `"id":"`+events[0].InternalID.String()+`"`, 1)
				require.Equal(t, want, string(events[0].JSON()))
				stored, err := bus.ParseEvent(events[0].JSON())
				require.NoError(t, err)
				require.Equal(t, string(events[0].JSON()), string(stored.JSON()))
			}
		})
	}
}

func TestEventSizes(t *testing.T) {
	t.Parallel()
	event := func(size int) string {
		const frame = `{"name":"a","data":{"x":""}}`
		return `{"name":"a","data":{"x":"` + strings.Repeat("x", size-len(frame)) + `"}}`
	}
	for _, body := range []string{event(3145728), " " + event(3145728) + "\n", "[" + event(3145728) + "]"} {
		events, err := Parse([]byte(body), "", "", now)
		require.NoError(t, err)
		require.Len(t, events, 1)
	}
	const refusal = `Event is over the max size: Max 3145728 bytes / Size 3145759 bytes`
	_, err := Parse([]byte(event(3145759)), "", "", now)
	require.EqualError(t, err, refusal)
	events, err := Parse([]byte(`[{"name":"first"},`+event(3145759)+`]`), "", "", now)
	require.EqualError(t, err, refusal)
	require.Equal(t, []string{"first"}, names(events))
}

func TestEventCounts(t *testing.T) {
	t.Parallel()
	batch := func(n int) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, n), ",") + "]")
	}
	events, err := Parse(batch(5000), "", "", now)
	require.NoError(t, err)
	require.Len(t, events, 5000)
	events, err = Parse(batch(5001), "", "", now)
	require.EqualError(t, err, `Cannot have more than 5000 events in a batch`)
	require.Len(t, events, 5000)
}

func FuzzIngest(f *testing.F) {
	for _, seed := range []string{
		``, `[]`, `{"name":"a"}`, `[{"name":"a"},{"name":"b","data":{"_inngest":1,"x":[1.5e3,true,null]}}]`,
		`{"name":"a","data":{"\u005finngest":{},"s":"\ud83d"}}`, "{\"name\":\"\xff\",\"data\":{\"a\" : 1 }}",
		`{"name":"a","meta":{"sessions":{"a":1,"b":null},"propagated_sessions":{"c":"d"}}}`, `[{"name":"a"}`, `{"name":"a"}{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Parse(body, "", "", now)
		if err == nil && len(events) > 0 && events[0].InternalID.IsZero() {
			t.Fatal("an event has no id")
		}
		if errors.Is(err, errSyntax) {
			require.Error(t, json.Unmarshal(body, new(any)), "refused without reason")
		}
		for _, e := range events {
			stored := e.JSON()
			again, err := bus.ParseEvent(stored)
			require.NoError(t, err)
			require.Equal(t, string(stored), string(again.JSON()))
			for _, part := range []json.RawMessage{e.Data, e.User, e.Meta} {
				if part != nil {
					checkStoredForm(t, part)
				}
			}
		}
		if len(events) == 1 && strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
			checkAgainstDecoder(t, body, events[0])
		}
	})
}

// checkStoredForm fails if a value is not as Parse promises.
func checkStoredForm(t *testing.T, value json.RawMessage) {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(value, &members))
	require.NotContains(t, members, reservedKey)
	tidy := tidied(value, ^traits(0))
	require.Equal(t, string(tidy), string(value), "tidy already")
}

// checkAgainstDecoder compares with what encoding/json makes of the event.
func checkAgainstDecoder(t *testing.T, body []byte, got *bus.Event) {
	t.Helper()
	var members struct {
		Name, ID, Data json.RawMessage
	}
	require.NoError(t, json.Unmarshal(body, &members))
	var name, id string
	require.NoError(t, json.Unmarshal(members.Name, &name))
	require.Equal(t, name, got.Name)
	if members.ID != nil {
		require.NoError(t, json.Unmarshal(members.ID, &id))
	}
	if id == "" {
		id = got.InternalID.String()
	}
	require.Equal(t, id, got.ID)
	var want, data map[string]any
	if members.Data != nil {
		require.NoError(t, json.Unmarshal(members.Data, &want))
	}
	delete(want, reservedKey)
	if got.Data != nil {
		require.NoError(t, json.Unmarshal(got.Data, &data))
	}
	require.Equal(t, want, data)
}

func BenchmarkParse(b *testing.B) {
	const event = `{"name":"shop/order.created","data":{"orderId":"ord_00000000001","customer":{"id":"cus_42","tier":"gold"},"items":[{"sku":"A-1","qty":2},{"sku":"B-7","qty":1}],"total":129.95},"user":{"external_id":"u_1"}}`
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			body := []byte(event)
			if n > 1 {
				body = []byte("[" + strings.TrimSuffix(strings.Repeat(event+",", n), ",") + "]")
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				events, err := Parse(body, "", "", now)
				if err != nil || len(events) != n {
					b.Fatal(err, len(events))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}
