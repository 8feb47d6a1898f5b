package expr

import (
	"container/list"
	"sync"
)

// cache keeps the most recently used results of a function of a text, errors
// included. It is safe for concurrent use; two callers may compute the same
// result at once.
type cache[V any] struct {
	mu      sync.Mutex
	limit   int
	entries map[string]*list.Element
	recent  *list.List // of *cached[V], most recently used first
}

type cached[V any] struct {
	text  string
	value V
	err   error
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, entries: map[string]*list.Element{}, recent: list.New()}
}

// get returns the cached result for text, computing it when there is none.
func (c *cache[V]) get(text string, compute func(text string) (V, error)) (V, error) {
	if hit, ok := c.find(text); ok {
		return hit.value, hit.err
	}
	value, err := compute(text)
	c.add(&cached[V]{text: text, value: value, err: err})
	return value, err
}

func (c *cache[V]) find(text string) (*cached[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[text]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(element)
	return element.Value.(*cached[V]), true
}

func (c *cache[V]) add(entry *cached[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[entry.text]; ok {
		return
	}
	c.entries[entry.text] = c.recent.PushFront(entry)
	if c.recent.Len() > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*cached[V])
		delete(c.entries, oldest.text)
	}
}
