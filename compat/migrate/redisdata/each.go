package redisdata

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// scanSize is how many keys, or fields of a hash, are looked at at once.
const scanSize = 1000

// position is how far a Redis was read: the keys of each node, then the hashes.
type position struct {
	place  string // "keys <address>", or the name of a hash
	cursor uint64
}

func (p position) String() migrate.Position {
	return migrate.Position(p.place + " " + strconv.FormatUint(p.cursor, 10))
}

// errPosition is a position that no reader of this Redis gave.
var errPosition = errors.New("not a position in this Redis")

func parsePosition(text migrate.Position) (p position, err error) {
	if text == "" {
		return p, nil
	}
	at := strings.LastIndexByte(string(text), ' ')
	if at < 0 {
		return p, fmt.Errorf("%q: %w", text, errPosition)
	}
	p.place = string(text[:at])
	if p.cursor, err = strconv.ParseUint(string(text[at+1:]), 10, 64); err != nil {
		return p, fmt.Errorf("%q: %w", text, errPosition)
	}
	return p, nil
}

// walk is a part of a Redis that is scanned from its beginning to its end.
type walk struct {
	place string
	// scan reads from a cursor on, and gives what it read to show, in one piece or in
	// several, each with its items; the next cursor is 0 at the end.
	scan func(ctx context.Context, cursor uint64, show func([]migrate.Item) error) (next uint64, read int64, err error)
}

// Each implements migrate.Source.
func (s *Side) Each(ctx context.Context, after migrate.Position, visit func(migrate.Page) error) error {
	from, err := parsePosition(after)
	if err != nil {
		return err
	}
	walks, err := s.walks(ctx)
	if err != nil {
		return err
	}
	first := 0
	if from.place != "" {
		for first < len(walks) && walks[first].place != from.place {
			first++
		}
		if first == len(walks) {
			return fmt.Errorf("%q: %w", after, errPosition)
		}
	}
	for i := first; i < len(walks); i++ {
		if err := s.walk(ctx, walks, i, from.cursor, visit); err != nil {
			return err
		}
		from.cursor = 0
	}
	return nil
}

// walk reads one part. Its end is the beginning of the next part, or, of the last
// one, the end of everything: scanned again from there, it has nothing new.
func (s *Side) walk(ctx context.Context, walks []walk, i int, cursor uint64, visit func(migrate.Page) error) error {
	w := walks[i]
	if cursor == done {
		return nil
	}
	for {
		before := position{w.place, cursor}.String()
		next, read, err := w.scan(ctx, cursor, func(items []migrate.Item) error {
			return visit(migrate.Page{Items: items, After: before})
		})
		if err != nil {
			return err
		}
		after := position{w.place, next}
		if next == 0 {
			after.cursor = done
			if i+1 < len(walks) {
				after = position{walks[i+1].place, 0}
			}
		}
		if err := visit(migrate.Page{After: after.String(), Read: read}); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// done is the cursor after the last part: Redis gives no such one.
const done = ^uint64(0)

func (s *Side) walks(ctx context.Context) ([]walk, error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return nil, err
	}
	var walks []walk
	for _, n := range nodes {
		walks = append(walks, walk{"keys " + n.address, func(ctx context.Context, cursor uint64, show func([]migrate.Item) error) (uint64, int64, error) {
			keys, next, err := n.client.Scan(ctx, cursor, "", scanSize).Result()
			if err != nil {
				return 0, 0, fmt.Errorf("scan the keys: %w", err)
			}
			return next, int64(len(keys)), s.keys(ctx, keys, show)
		}})
	}
	debounces := &debounces{Side: s}
	for _, hash := range hashes {
		read := map[string]func(context.Context, []field) ([]migrate.Item, error){
			format.DebouncesKey: debounces.items, format.ItemsKey: s.queueItems,
			format.SetAsideKey: asides(format.SetAsideKey), format.PausesAsideKey: asides(format.PausesAsideKey),
		}[hash]
		walks = append(walks, s.hashWalk(hash, read))
	}
	return walks, nil
}

// field is a field of a hash.
type field struct{ name, value string }

func (s *Side) hashWalk(key string, read func(context.Context, []field) ([]migrate.Item, error)) walk {
	return walk{key, func(ctx context.Context, cursor uint64, show func([]migrate.Item) error) (uint64, int64, error) {
		values, next, err := s.Redis.HScan(ctx, key, cursor, "", scanSize).Result()
		if pipeline.WrongType(err) {
			return 0, 0, nil // reported among the keys
		}
		if err != nil {
			return 0, 0, fmt.Errorf("scan %s: %w", key, err)
		}
		fields := make([]field, 0, len(values)/2)
		for i := 0; i+1 < len(values); i += 2 {
			fields = append(fields, field{values[i], values[i+1]})
		}
		items, err := read(ctx, fields)
		if err != nil {
			return 0, 0, err
		}
		return next, int64(len(fields)), show(items)
	}}
}

// asides are what was set aside in a hash.
func asides(key string) func(context.Context, []field) ([]migrate.Item, error) {
	return func(_ context.Context, fields []field) ([]migrate.Item, error) {
		var items []migrate.Item
		for _, f := range fields {
			reason := "set aside"
			if a, err := format.Decode[format.Aside](format.Place{Key: key, Member: f.name}, f.value); err == nil && a.Reason != "" {
				reason += ": " + a.Reason
			}
			items = append(items, (&migrate.Bad{Key: key, Member: f.name, Reason: reason, Value: f.value}).Item())
		}
		return items, nil
	}
}

// badKey is a key that cannot be read.
func badKey(key string, err error) migrate.Item {
	bad := &migrate.Bad{Key: key, Reason: err.Error()}
	var value *format.ValueError
	if errors.As(err, &value) {
		bad.Key, bad.Member = value.Key, value.Member
	}
	return bad.Item()
}

// missing tells an answer that a key is not there from one that there is.
func missing(c redis.Cmder) bool { return errors.Is(c.Err(), redis.Nil) }
