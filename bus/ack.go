package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// parseAck reads a PubAck's sequence, or its error. The happy form is scanned,
// not unmarshalled: there is one for each message.
func parseAck(m *nats.Msg) (uint64, error) {
	if len(m.Data) == 0 {
		if status := m.Header.Get("Status"); status != "" {
			return 0, ackError{Code: status, Description: statusText(status, m.Header.Get("Description"))}
		}
		return 0, errors.New("empty acknowledgement")
	}
	if !bytes.Contains(m.Data, []byte(`"error"`)) {
		if seq := ackNumber(m.Data, `"seq":`); seq > 0 {
			return seq, nil
		}
	}
	var ack struct {
		Error *struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil || ack.Error == nil {
		return 0, fmt.Errorf("not an acknowledgement: %q", m.Data)
	}
	return 0, ackError{Code: strconv.Itoa(ack.Error.ErrCode), Description: ack.Error.Description}
}

// ackNumber finds the number after key, 0 when there is none.
func ackNumber(data []byte, key string) (n uint64) {
	i := bytes.Index(data, []byte(key))
	if i < 0 {
		return 0
	}
	for _, c := range bytes.TrimLeft(data[i+len(key):], " ") {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// statusText describes a status that came without a body.
func statusText(status, description string) string {
	switch {
	case description != "":
		return description
	case status == "503":
		return "no stream takes the message now"
	}
	return "status"
}

// ackError is JetStream's refusal of a message: Code is the error code of its
// API, or the status when there was no body.
type ackError struct{ Code, Description string }

func (e ackError) Error() string {
	return fmt.Sprintf("refused by jetstream: %s (%s)", e.Description, e.Code)
}
