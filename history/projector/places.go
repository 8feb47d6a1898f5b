package projector

import (
	"context"
	"slices"
	"strings"
	"time"

	"jetstep/bus"
	"jetstep/history/database"
)

// StreamLag is how far the database is behind one stream.
type StreamLag struct {
	Source         string
	Position, Last uint64
	// Again is up to where the stream is being read again, 0 for not.
	Again uint64
	// Elsewhere says that the stream is in another NATS, and Last not known;
	// WrittenAt is when it was last written from.
	Elsewhere bool
	WrittenAt time.Time
}

// Streams are the positions of all streams, in their order, and then those that
// others with a NATS of their own have in the same database.
func Streams(ctx context.Context, b *bus.Bus, store *database.Store) ([]StreamLag, error) {
	known, err := placesOf(ctx, b, store)
	if err != nil {
		return nil, err
	}
	var lags []StreamLag
	for _, s := range known.own {
		_, last, err := s.feed.bounds(ctx)
		if err != nil {
			return nil, err
		}
		lags = append(lags, known.lag(s.name, last))
	}
	for _, source := range known.elsewhere {
		lag := known.lag(source, 0)
		lag.Elsewhere, lag.WrittenAt = true, known.at[source].UpdatedAt
		lags = append(lags, lag)
	}
	return lags, nil
}

// places are the positions of a database, as one NATS sees them.
type places struct {
	at        map[string]database.Place
	own       []stream // of this NATS
	elsewhere []string // sources of others, in the order of their names
}

// placesOf finds out under which names the streams of this NATS are projected:
// by themselves, or with its name where several share a database.
func placesOf(ctx context.Context, b *bus.Bus, store *database.Store) (*places, error) {
	all, err := store.Places(ctx)
	if err != nil {
		return nil, err
	}
	p := &places{at: map[string]database.Place{}}
	alone, shared := false, false
	for _, place := range all {
		p.at[place.Source] = place
		switch _, instance, named := strings.Cut(strings.TrimSuffix(place.Source, againOf("")), instanceMark); {
		case !named:
			alone = true
		case instance == b.Installation():
			shared = true
		case !strings.HasSuffix(place.Source, againOf("")):
			p.elsewhere = append(p.elsewhere, place.Source)
		}
	}
	if alone || !shared {
		p.own = streams(b)
	}
	if shared {
		p.own = append(p.own, streamsOf(b, b.Installation())...)
	}
	return p, nil
}

func (p *places) lag(source string, last uint64) StreamLag {
	place := p.at[source]
	lag := StreamLag{Source: source, Position: place.Position, Last: last}
	if again := p.at[againOf(source)].Position; again > lag.Position {
		lag.Again = again
	}
	return lag
}

// others are the instances of other NATS, by name.
func (p *places) others() []string {
	var names []string
	for _, source := range p.elsewhere {
		_, instance, _ := strings.Cut(source, instanceMark)
		names = append(names, instance)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
