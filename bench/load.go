package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client keeps connections to the server open.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxIdleConns: 64}}

// load is events of a name. The data of the i-th has "n": i, and what more
// says, if it is set: further JSON members with a comma at their end.
type load struct {
	name string
	more func(i int) string
}

// batch builds a request body of n events with a payload of a usual size.
func (l load) batch(first, n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"name":"` + l.name + `","data":{`)
		if l.more != nil {
			b.WriteString(l.more(first + i))
		}
		b.WriteString(`"n":`)
		b.WriteString(strconv.Itoa(first + i))
		b.WriteString(`,"customer":"c-1043","email":"someone@example.com","items":[{"sku":"A-17","count":2},{"sku":"B-9","count":1}],"total":41.5}}`)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// send posts one body of events.
func (t *Target) send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+"/e/"+t.EventKey, bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = do(req, "events refused")
	return err
}

// do returns what a request is answered; failed begins the error about a status
// other than 200.
func do(req *http.Request, failed string) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %.200s", failed, resp.StatusCode, answer)
	}
	return answer, nil
}

// sendAll sends n events of a name in batches over several connections, and
// returns when all are accepted.
func (t *Target) sendAll(ctx context.Context, name string, n, batch, connections int) error {
	return t.sendLoad(ctx, load{name: name}, n, batch, connections)
}

func (t *Target) sendLoad(ctx context.Context, l load, n, batch, connections int) error {
	var next atomic.Int64
	var senders sync.WaitGroup
	errs := make(chan error, connections)
	for range connections {
		senders.Go(func() {
			for {
				first := int(next.Add(int64(batch))) - batch
				if first >= n {
					return
				}
				if err := t.send(ctx, l.batch(first, min(batch, n-first))); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	senders.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// until polls a condition.
func until(ctx context.Context, what string, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}
