package bus

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	owner, other := n.open(nil), n.open(nil)
	_, err := other.Ask(t.Context(), 0, []byte("hello"))
	require.ErrorIs(t, err, ErrNobodyAnswers)

	stop, err := owner.Answer(0, func(request []byte) []byte { return []byte(strings.ToUpper(string(request))) })
	require.NoError(t, err)
	eventually(t, func() bool {
		answer, err := other.Ask(t.Context(), 0, []byte("hello"))
		return err == nil && string(answer) == "HELLO"
	}, "the owner answers")
	_, err = other.Ask(t.Context(), 1, nil)
	require.ErrorIs(t, err, ErrNobodyAnswers, "it answers for its partition only")

	stop()
	require.NoError(t, owner.Conn().Flush())
	_, err = other.Ask(t.Context(), 0, nil)
	require.ErrorIs(t, err, ErrNobodyAnswers)
	owner.Close()
	_, err = owner.Answer(0, func([]byte) []byte { return nil })
	require.ErrorContains(t, err, "answer for partition 0")
}

func TestAnswersRunConcurrently(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	var met sync.WaitGroup
	met.Add(2)
	stop, err := b.Answer(0, func([]byte) []byte {
		met.Done()
		met.Wait()
		return nil
	})
	require.NoError(t, err)
	defer stop()
	asked := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := b.Ask(context.Background(), 0, nil)
			asked <- err
		}()
	}
	require.NoError(t, wait(t, asked))
	require.NoError(t, wait(t, asked))
}

func TestAskEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := openEmbedded(t)
	never := make(chan struct{})
	defer close(never)
	stop, err := b.Answer(0, func([]byte) []byte { <-never; return nil })
	require.NoError(t, err)
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = b.Ask(ctx, 0, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Requests and answers that no message holds come in one piece.
func TestLargeQuestions(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.MaxPayload = minPayload })
	owner, other := n.open(nil), n.open(nil)
	stop, err := owner.Answer(0, func(request []byte) []byte { return bytes.Repeat(request, 2) })
	require.NoError(t, err)
	defer stop()
	require.NoError(t, owner.Conn().Flush())

	// Who dies in the middle of a request is forgotten.
	for i := range 2 * maxAsking {
		require.NoError(t, other.Conn().PublishMsg(&nats.Msg{Subject: askPrefix + "0", Reply: "nobody." + strconv.Itoa(i),
			Data: []byte("x"), Header: nats.Header{headerChunk: {"1/2"}}}))
	}
	require.NoError(t, other.Conn().PublishMsg(&nats.Msg{Subject: askPrefix + "0", Reply: "nobody", Header: nats.Header{headerChunk: {"0"}}}))
	asked := make(chan error, 8)
	for i := range cap(asked) {
		go func() {
			request := bytes.Repeat([]byte{byte('a' + i)}, 3*minPayload+i)
			answer, err := other.Ask(context.Background(), 0, request)
			if err == nil && !bytes.Equal(answer, bytes.Repeat(request, 2)) {
				err = errors.New("another answer")
			}
			asked <- err
		}()
	}
	for range cap(asked) {
		require.NoError(t, wait(t, asked))
	}
}
