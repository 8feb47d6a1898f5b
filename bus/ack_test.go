package bus

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestParseAck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, data, status, description string
		seq                             uint64
		err                             string
	}{
		{name: "acknowledged", data: `{"stream":"EVENTS","seq":42}`, seq: 42},
		{name: "with a domain", data: `{"stream":"EVENTS","domain":"hub","seq": 18446744073709551615}`, seq: 1<<64 - 1},
		{name: "duplicate", data: `{"stream":"IN_0","seq":7,"duplicate":true}`, seq: 7},
		{name: "refused", data: `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"EVENTS","seq":0}`,
			err: "refused by jetstream: maximum bytes exceeded (10077)"},
		{name: "nobody listens", status: "503", err: "refused by jetstream: no stream takes the message now (503)"},
		{name: "status with words", status: "429", description: "Too Many Requests", err: "refused by jetstream: Too Many Requests (429)"},
		{name: "unknown status", status: "499", err: "refused by jetstream: status (499)"},
		{name: "nothing", err: "empty acknowledgement"},
		{name: "no sequence", data: `{"stream":"EVENTS"}`, err: "not an acknowledgement"},
		{name: "sequence zero", data: `{"seq":0}`, err: "not an acknowledgement"},
		{name: "no JSON", data: `hello "error"`, err: "not an acknowledgement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &nats.Msg{Data: []byte(c.data), Header: nats.Header{}}
			if c.status != "" {
				m.Header.Set("Status", c.status)
				m.Header.Set("Description", c.description)
			}
			seq, err := parseAck(m)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.seq, seq)
		})
	}
}
