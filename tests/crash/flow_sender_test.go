package crash_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// lane sends the events of one function and key, one after the other.
type lane struct {
	function string
	k        string
	first    int           // number of its first event
	each     int           // events in a round
	gap      time.Duration // between two of them, at most
	pad      string        // added to each

	sent int
	rng  *rand.Rand
}

// lanesOf are how fast which events come. They are so many that limits are
// reached, but no more than the limits let through in the time of a trial.
var lanesOf = []struct {
	function   string
	keys, each int
	gap        time.Duration
}{
	{keyed, 3, 4, 20 * time.Millisecond},
	{bounded, 3, 3, 20 * time.Millisecond},
	{sharedA, 1, 4, 20 * time.Millisecond},
	{sharedB, 1, 4, 20 * time.Millisecond},
	{occupied, 2, 3, 50 * time.Millisecond},
	{throttled, 1, 6, 20 * time.Millisecond},
	{limited, 2, 3, 300 * time.Millisecond},
	{gathered, 2, 4, 50 * time.Millisecond},
	{debounced, 3, 3, 300 * time.Millisecond},
	{single, 2, 3, 300 * time.Millisecond},
	{replaced, 2, 3, 200 * time.Millisecond},
	{hurried, 1, 4, 20 * time.Millisecond},
	{shortened, 1, 2, 100 * time.Millisecond},
}

// lanesLength is more than the events of a lane.
const lanesLength = 1000

func newLanes(seed uint64, pad int) []*lane {
	var lanes []*lane
	for _, l := range lanesOf {
		for i := range l.keys {
			lanes = append(lanes, &lane{
				function: l.function, k: "k" + strconv.Itoa(i), first: lanesLength * i, each: l.each, gap: l.gap, pad: strings.Repeat("x", pad),
				rng: rand.New(rand.NewPCG(seed, *seedOffset+uint64(len(lanes)))),
			})
		}
	}
	return lanes
}

// next is the next event. It is sent again until it is accepted, and the
// server knows it again by the seed.
func (l *lane) next(with *meet) batch {
	n := l.first + l.sent
	l.sent++
	data := map[string]any{"n": n, "k": l.k}
	if l.pad != "" {
		data["pad"] = l.pad
	}
	if with != nil {
		data["meet"] = with
	}
	return batch{events: []event{{Name: flowEvents + l.function, Data: data}}, seed: newSeed(l.rng)}
}

// send sends the lane's next event, and tells the ledger. Some it sends once
// more, as if the answer had been lost.
func (s *flowSite) send(l *lane, with *meet) error {
	b := l.next(with)
	sent := &sending{key: key{l.function, b.events[0].Data["n"].(int)}, k: l.k, span: span{from: time.Now()}}
	for range 1 + l.rng.IntN(5)/4 {
		if err := s.sender.send(s.ctx, &b); err != nil {
			return fmt.Errorf("%s: %w", sent.key, err)
		}
	}
	sent.to = time.Now()
	s.flow.note(sent)
	return nil
}

// sendEach sends as many events of each lane, all lanes at the same time.
func (s *flowSite) sendEach(count int, with func(*lane) *meet) {
	s.t.Helper()
	errs := make(chan error, len(s.lanes))
	for _, l := range s.lanes {
		go func() {
			var err error
			for i := 0; i < count && err == nil; i++ {
				err = s.send(l, with(l))
			}
			errs <- err
		}()
	}
	for range s.lanes {
		require.NoError(s.t, <-errs)
	}
}

// noMeeting is for events that wait for no others.
func noMeeting(*lane) *meet { return nil }

// sendRounds sends a lane's events of a round whenever one begins, until there
// are no more rounds.
func (s *flowSite) sendRounds(l *lane, rounds <-chan struct{}) error {
	for range rounds {
		for range l.each {
			pause(s.site, time.Duration(l.rng.Int64N(int64(l.gap))))
			if err := s.send(l, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// traffic is all lanes of a trial.
type traffic struct {
	rounds []chan struct{}
	errs   []chan error
}

func (s *flowSite) start(rounds int) *traffic {
	t := &traffic{}
	for _, l := range s.lanes {
		todo, done := make(chan struct{}, rounds), make(chan error, 1)
		go func() { done <- s.sendRounds(l, todo) }()
		t.rounds, t.errs = append(t.rounds, todo), append(t.errs, done)
	}
	return t
}

// round has every lane send its events of one more round.
func (t *traffic) round() {
	for _, todo := range t.rounds {
		todo <- struct{}{}
	}
}

// wait returns when all events of all rounds are accepted.
func (t *traffic) wait() error {
	errs := make([]error, 0, len(t.errs))
	for i, done := range t.errs {
		close(t.rounds[i])
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// meetingOf is the meeting of a lane's calls, as large as its limits let it be.
func meetingOf(l *lane) *meet {
	switch l.function {
	case keyed:
		return &meet{keyed + " " + l.k, keyLimit}
	case bounded:
		return &meet{bounded, allLimit}
	case sharedA, sharedB:
		return &meet{sharedA + " and " + sharedB, pairLimit}
	case occupied:
		return &meet{occupied + " " + l.k, runLimit}
	}
	return nil
}
