package bus

import (
	"strconv"

	"github.com/nats-io/nats.go"
)

// eventHeaderRoom is more than the headers of a message in EVENTS take.
const eventHeaderRoom = 256

// eventEncoder makes the messages of events, each valid until the next: the
// NATS client copies what it is given.
type eventEncoder struct {
	partitions int
	msg        nats.Msg
	body       []byte
	name       string // that msg.Subject is for
	// The values that header lists point to.
	id, source, seeded [1]string
	registry           [1]string // "" for none
}

func newEventEncoder(partitions int) *eventEncoder {
	return &eventEncoder{partitions: partitions, msg: nats.Msg{Header: nats.Header{}}, seeded: [1]string{"1"}}
}

func (c *eventEncoder) message(e *Event, reply string) *nats.Msg {
	if e.Name != c.name {
		c.name = e.Name
		c.msg.Subject = EventSubject(PartitionOf(e.Name, c.partitions), e.Name)
	}
	clear(c.msg.Header)
	c.id[0] = e.InternalID.String()
	c.msg.Header[HeaderEventID] = c.id[:]
	if e.Source != nil {
		c.source[0] = strconv.Itoa(e.Source.From) + "." + strconv.FormatUint(e.Source.N, 10)
		if e.Source.Next {
			c.source[0] += "." + strconv.FormatUint(e.Source.After, 10)
		}
		c.msg.Header[HeaderSource] = c.source[:]
	}
	if e.Seeded {
		c.msg.Header[HeaderSeeded] = c.seeded[:]
	}
	if c.registry[0] != "" {
		c.msg.Header[headerRegistry] = c.registry[:]
	}
	c.body = e.AppendJSON(c.body[:0], false)
	c.msg.Data = c.body
	c.msg.Reply = reply
	return &c.msg
}
