package live

// ring keeps the latest items, up to limit; an item keeps its place until it is
// replaced.
type ring[T any] struct {
	limit int
	items []T
	next  int // the place of the next item, which is the oldest once it is full
}

// put adds an item. replaced is what it took the place of, if full.
func (r *ring[T]) put(item T) (place int, replaced T, full bool) {
	place = r.next
	r.next = (r.next + 1) % r.limit
	if len(r.items) < r.limit {
		r.items = append(r.items, item)
		return place, replaced, false
	}
	replaced, r.items[place] = r.items[place], item
	return place, replaced, true
}

// at is the i-th oldest item.
func (r *ring[T]) at(i int) *T {
	if len(r.items) < r.limit {
		return &r.items[i]
	}
	return &r.items[(r.next+i)%r.limit]
}
