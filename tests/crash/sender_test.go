package crash_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"jetstep/tests/harness"
)

// event is what is sent; ID is the idempotency key, optional.
type event struct {
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
	ID   string         `json:"id,omitempty"`
}

// batch is one request. With a seed or with ids in the events it can be sent
// again until it is answered; otherwise it must be sent once.
type batch struct {
	events []event
	seed   string // X-Inngest-Event-Id-Seed
}

func (b *batch) once() bool { return b.seed == "" && b.events[0].ID == "" }

// makeBatches makes events with the numbers from first on in batches of 1 to
// 40, a third of them with a seed, a third with ids, and a few with neither.
func makeBatches(rng *rand.Rand, name string, first, count, pad int) []batch {
	padding := strings.Repeat("x", pad)
	var batches []batch
	for last := first + count; first < last; {
		b := batch{}
		kind := rng.IntN(10)
		if kind < 4 {
			b.seed = newSeed(rng)
		}
		for range min(1+rng.IntN(40), last-first) {
			e := event{Name: name, Data: map[string]any{"n": first}}
			if pad > 0 {
				e.Data["pad"] = padding
			}
			if kind >= 4 && kind < 9 {
				e.ID = "id-" + strconv.Itoa(first)
			}
			b.events = append(b.events, e)
			first++
		}
		batches = append(batches, b)
	}
	return batches
}

// newSeed makes a seed header (sdk-protocol §4.6).
func newSeed(rng *rand.Rand) string {
	entropy := make([]byte, 10)
	for i := range entropy {
		entropy[i] = byte(rng.Uint32())
	}
	return strconv.FormatInt(time.Now().UnixMilli(), 10) + "," + base64.StdEncoding.EncodeToString(entropy)
}

// sender sends batches to whichever server answers, and remembers which events
// must have a run and which may have one.
type sender struct {
	client   *http.Client
	bases    func() []string // URLs of servers
	eventKey string
	accepted atomic.Int64 // events answered with 200
	again    atomic.Int64 // requests sent again

	mu       sync.Mutex
	required map[key]bool
	optional map[key]bool // sent once and not answered
}

func newSender(eventKey string, bases func() []string) *sender {
	return &sender{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 20 * time.Second},
		bases:  bases, eventKey: eventKey, required: map[key]bool{}, optional: map[key]bool{},
	}
}

// start sends batches from a few goroutines; the error is there once all are
// answered or one was refused.
func (s *sender) start(ctx context.Context, batches []batch) <-chan error {
	const clients = 4
	todo := make(chan *batch, len(batches))
	for i := range batches {
		todo <- &batches[i]
	}
	close(todo)
	errs := make([]error, clients)
	var clientsDone sync.WaitGroup
	for i := range clients {
		clientsDone.Go(func() {
			for b := range todo {
				if err := s.send(ctx, b); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	done := make(chan error, 1)
	go func() {
		clientsDone.Wait()
		done <- errors.Join(errs...)
	}()
	return done
}

// send returns when the batch is answered with 200, or, if it is to be sent
// only once, when it was.
func (s *sender) send(ctx context.Context, b *batch) error {
	attempt := rand.IntN(2) // servers share the load
	_, err := harness.Await(ctx, "an answer to events", func(ctx context.Context) (struct{}, error) {
		bases := s.bases()
		base := bases[attempt%len(bases)]
		attempt++
		err := s.post(ctx, base, b)
		switch {
		case err == nil:
			s.accepted.Add(int64(len(b.events)))
			s.note(b, s.required)
		case errors.Is(err, errNotTaken), errors.Is(err, errUnknown) && !b.once():
			s.again.Add(1)
			return struct{}{}, err
		case errors.Is(err, errUnknown):
			s.note(b, s.optional)
		default:
			return struct{}{}, harness.Permanent(err)
		}
		return struct{}{}, nil
	})
	return err
}

func (s *sender) note(b *batch, set map[key]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range b.events {
		for function, fn := range scripts {
			if fn.trigger == e.Name {
				set[key{function, e.Data["n"].(int)}] = true
			}
		}
	}
}

// What post can say of a request that was not answered with 200. Any other
// error is a defect of the server.
var (
	errNotTaken = errors.New("no server took the request")
	errUnknown  = errors.New("it is unknown what was stored")
)

// post makes one request.
func (s *sender) post(ctx context.Context, base string, b *batch) error {
	body, err := json.Marshal(b.events)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/e/"+s.eventKey, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if b.seed != "" {
		req.Header.Set("X-Inngest-Event-Id-Seed", b.seed)
	}
	res, err := s.client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %w", errNotTaken, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errUnknown, err)
	case res.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: status 503: %s", errUnknown, answer)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	var ids struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(answer, &ids); err != nil {
		return fmt.Errorf("answer %s: %w", answer, err)
	}
	if len(ids.IDs) != len(b.events) {
		return fmt.Errorf("%d events, answered with %s", len(b.events), answer)
	}
	return nil
}
