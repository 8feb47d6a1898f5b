package queue

// turns is a queue of lines in a slice.
type turns[T any] struct {
	lines []*line[T]
	next  int // first used element
}

func (t *turns[T]) empty() bool     { return t.next == len(t.lines) }
func (t *turns[T]) first() *line[T] { return t.lines[t.next] }
func (t *turns[T]) add(l *line[T])  { t.lines = append(t.lines, l) }

func (t *turns[T]) take() *line[T] {
	l := t.lines[t.next]
	t.lines[t.next] = nil
	t.next++
	if t.next > 64 && t.next*2 > len(t.lines) {
		t.lines = append(t.lines[:0], t.lines[t.next:]...)
		t.next = 0
	}
	return l
}
