package projector

import (
	"context"
	"errors"
	"fmt"
)

// place is where to go on.
type place struct {
	position uint64
	// again is up to where rows may be in the database already, from another
	// life of the stream or of the database.
	again uint64
}

// againOf is the source whose position in the database is place.again.
func againOf(source string) string { return source + " again" }

// start finds where the database was left, and makes good what cannot be gone
// on from.
func (s *source) start(ctx context.Context) (place, error) {
	store := s.projector.config.Store
	var at place
	first, last, err := s.feed.bounds(ctx)
	if err != nil {
		return at, err
	}
	s.mu.Lock()
	s.last = last // is known, and told, also while the database is away
	s.mu.Unlock()
	if at.position, err = store.Position(ctx, s.name); err != nil {
		return at, err
	}
	if at.again, err = store.Position(ctx, againOf(s.name)); err != nil {
		return at, err
	}
	next, why := resume(at, first, last)
	if why == "" {
		return at, nil
	}
	s.projector.log.Warn(why, "source", s.name, "position", at.position, "first", first, "last", last, "going_on_after", next.position)
	// In this order: if the second is lost, all of this happens again.
	if err := store.SetPosition(ctx, againOf(s.name), next.again); err != nil {
		return at, err
	}
	if err := store.SetPosition(ctx, s.name, next.position); err != nil {
		return at, err
	}
	return next, nil
}

// resume decides where to go on in a stream that holds first … last. why is
// empty when that is where the database was left.
func resume(at place, first, last uint64) (next place, why string) {
	switch {
	case at.position > last:
		// The stream lost its end, and with it what is repeated now: it gives the
		// same numbers again (jetstream-facts §12, no. 15). About as many records
		// as were lost may say what the database has.
		return place{position: last, again: max(at.again, at.position+(at.position-last))},
			"the stream ends before what was projected of it: it was restored, or lost its end"
	case at.position+1 < first:
		// What is left may begin in the middle of runs, and repeats what lives.
		return place{position: first - 1, again: max(at.again, last)},
			"the stream begins after what was projected of it"
	}
	return at, ""
}

// errShorter ends a session whose stream has lost its end.
var errShorter = errors.New("the stream ends before what was read of it")

// look asks for the stream's end, by which it is told how far behind the
// database is.
func (s *source) look(ctx context.Context) (last uint64, err error) {
	if _, last, err = s.feed.bounds(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.last = last
	s.mu.Unlock()
	return last, nil
}

// check compares the stream's end with what was read of it.
func (s *source) check(ctx context.Context) error {
	last, err := s.look(ctx)
	if err != nil {
		s.failed("asking for the stream's end", err)
		return nil // reading goes on when it can
	}
	if position := s.position.Load(); position > last {
		return fmt.Errorf("%w: %d is in the database, %d is the last", errShorter, position, last)
	}
	s.healthy()
	return nil
}
