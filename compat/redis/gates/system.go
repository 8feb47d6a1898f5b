package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
)

// errUnfit marks what no further try makes better.
var errUnfit = engine.ErrUnfit

// item is a job of the system for a function, without id and time; queue is ""
// for one that counts as the function's.
func (g *Gates) item(kind, queue string, fn, app uuid.UUID, payload json.RawMessage) *format.Item {
	attempts := systemAttempts
	return &format.Item{
		FunctionID: fn, Environment: g.Node.Environment, Queue: queue,
		Data: format.ItemData{
			GroupID: uuid.NewString(), Environment: g.Node.Environment, Kind: kind, MaxAttempts: &attempts, Payload: payload, Queue: queue,
			Identifier: format.Identifier{FunctionID: fn, AccountID: g.Node.Account, EnvironmentID: g.Node.Environment, AppID: app},
		},
	}
}

// Do implements engine.System (redis-queue §5.4).
func (g *Gates) Do(ctx context.Context, item *format.Item) error {
	switch item.Data.Kind {
	case format.KindDebounce:
		return does(ctx, item, g.EndDebounce)
	case format.KindBatch:
		return does(ctx, item, g.StartBatch)
	case format.KindCron:
		return does(ctx, item, g.Tick)
	case format.KindCronSync:
		return does(ctx, item, g.schedule)
	case format.KindCronHealthCheck:
		return g.checkCrons(ctx, item.At)
	case format.KindCancel:
		return does(ctx, item, func(ctx context.Context, p *format.CancelPayload) error { return g.cancelLate(ctx, item, p) })
	case format.KindPromote, format.KindFunctionPaused, format.KindUnpaused:
		return nil // they only hint at what is looked for anyway
	}
	return fmt.Errorf("job of kind %q: %w", item.Data.Kind, errUnfit)
}

// does reads what an item says and does it.
func does[T any](ctx context.Context, item *format.Item, do func(context.Context, *T) error) error {
	payload, err := format.PayloadOf[T](format.Place{Key: format.ItemsKey, Member: item.ID}, item)
	if err != nil {
		return errors.Join(err, errUnfit)
	}
	return do(ctx, &payload)
}
