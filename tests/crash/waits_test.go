package crash_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// TestWaitsAcrossKills kills the server between what a run waits for is asked
// for and when it comes, in both orders: it resumes every run, once.
func TestWaitsAcrossKills(t *testing.T) {
	t.Parallel()
	rounds, each := 8, 30
	if testing.Short() {
		rounds, each = 2, 8
	}
	s := newSite(t, siteConfig{servers: [][]string{nil}, partitions: 5})
	rng := rand.New(rand.NewPCG(51, *seedOffset))
	for round := range rounds {
		w := newWaiters(s, round*each, each)
		w.begin()
		pause(s, time.Duration(rng.Int64N(int64(200*time.Millisecond))))
		s.killServer(0) // while waits are armed and functions invoked
		s.restartServer(0)
		w.awaitArmed()
		switch round % 3 {
		case 0: // armed, killed, fired
			s.killServer(0)
			s.restartServer(0)
			w.awaitArmed()
			require.NoError(t, <-w.fire())
		case 1: // armed, fired, killed
			require.NoError(t, <-w.fire())
			s.killServer(0)
			s.restartServer(0)
		case 2: // killed while it is fired
			fired := w.fire()
			pause(s, time.Duration(rng.Int64N(int64(30*time.Millisecond))))
			s.killServer(0)
			pause(s, time.Duration(rng.Int64N(int64(50*time.Millisecond))))
			s.restartServer(0)
			require.NoError(t, <-fired)
		}
	}
	s.awaitQuiet()
	s.check()
	s.stop()
}

// waiters are runs with the same numbers of each function that waits.
type waiters struct {
	*site
	first, count int
	runs         map[key]string // ids of those that wait
}

func newWaiters(s *site, first, count int) *waiters {
	return &waiters{site: s, first: first, count: count, runs: map[key]string{}}
}

// begin starts the runs. Invoked functions are expected to run, too.
func (w *waiters) begin() {
	for _, function := range []string{waits, calls, hears} {
		b := batch{}
		for n := w.first; n < w.first+w.count; n++ {
			b.events = append(b.events, event{Name: scripts[function].trigger, Data: map[string]any{"n": n}, ID: fmt.Sprintf("%s-%d", function, n)})
		}
		require.NoError(w.t, w.sender.send(w.ctx, &b))
	}
	for n := w.first; n < w.first+w.count; n++ {
		w.sender.required[key{callee, n}] = true
	}
}

// awaitArmed waits until all that wait for an event or a signal do so.
func (w *waiters) awaitArmed() {
	client := w.servers[0].Client()
	for _, function := range []string{waits, hears} {
		for n := w.first; n < w.first+w.count; n++ {
			k := key{function, n}
			w.await(recoveryTimeout, k.String()+" to wait", func(ctx context.Context) error {
				if err := w.ledger.catchUp(); err != nil {
					return harness.Permanent(err)
				}
				if len(w.ledger.started[k]) == 0 {
					return errors.New("it has no run")
				}
				w.runs[k] = w.ledger.started[k][0].id
				waiting, err := isWaiting(ctx, client, w.runs[k])
				if err == nil && !waiting {
					err = errors.New("it does not")
				}
				return err
			})
		}
	}
}

func isWaiting(ctx context.Context, client *harness.Client, run string) (bool, error) {
	kinds, err := client.JobKinds(ctx, run)
	return slices.Contains(kinds, "pause"), err
}

// fire sends what the runs wait for.
func (w *waiters) fire() <-chan error {
	done := make(chan error, 1)
	go func() { done <- errors.Join(<-w.sender.start(w.ctx, w.answers()), w.signalAll()) }()
	return done
}

// answers are the events, one a request.
func (w *waiters) answers() []batch {
	var batches []batch
	for n := w.first; n < w.first+w.count; n++ {
		batches = append(batches, batch{events: []event{
			{Name: answerEvent, Data: map[string]any{"n": n}, ID: fmt.Sprintf("answer-%d", n)},
		}})
	}
	return batches
}

func (w *waiters) signalAll() error {
	client := w.servers[0].Client()
	for n := w.first; n < w.first+w.count; n++ {
		if err := w.signal(client, n); err != nil {
			return err
		}
	}
	return nil
}

// signal sends a signal until it is known to have arrived: it was answered
// with the run, or no one waits for it, not even the run. A run's wait can be
// known a moment before its signal is.
func (w *waiters) signal(client *harness.Client, n int) error {
	run := w.runs[key{hears, n}]
	_, err := harness.Await(w.ctx, signalName(n), func(ctx context.Context) (struct{}, error) {
		resumed, err := client.Signal(ctx, signalName(n), map[string]any{"n": n})
		if err == nil && resumed != run {
			return struct{}{}, harness.Permanent(fmt.Errorf("it has resumed run %s, not %s", resumed, run))
		}
		var status *harness.StatusError
		if !errors.As(err, &status) {
			return struct{}{}, err // if any: it is unknown whether the signal was taken
		}
		switch {
		case status.Status >= 500: // for example while partitions are loaded
			return struct{}{}, err
		case status.Status != http.StatusNotFound:
			return struct{}{}, harness.Permanent(err)
		}
		waiting, waitErr := isWaiting(ctx, client, run)
		if waiting || waitErr != nil {
			return struct{}{}, errors.Join(err, waitErr)
		}
		return struct{}{}, nil
	})
	return err
}
