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

func (s *scored[T]) before(o *scored[T]) bool {
	return s.score < o.score || s.score == o.score && s.seq < o.seq
}

// push puts a job at its place.
func (l *line[T]) push(s scored[T]) {
	l.jobs = append(l.jobs, s)
	i := len(l.jobs) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !s.before(&l.jobs[parent]) {
			break
		}
		l.jobs[i] = l.jobs[parent]
		i = parent
	}
	l.jobs[i] = s
}

// pop takes the first job out; there is one.
func (l *line[T]) pop() scored[T] {
	first := l.jobs[0]
	last := len(l.jobs) - 1
	moved := l.jobs[last]
	l.jobs[last] = scored[T]{}
	l.jobs = l.jobs[:last]
	if last > 0 {
		l.sink(moved)
	}
	l.shrink()
	return first
}

// sink places a job at the top or below.
func (l *line[T]) sink(s scored[T]) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(l.jobs) {
			break
		}
		if right := child + 1; right < len(l.jobs) && l.jobs[right].before(&l.jobs[child]) {
			child = right
		}
		if !l.jobs[child].before(&s) {
			break
		}
		l.jobs[i] = l.jobs[child]
		i = child
	}
	l.jobs[i] = s
}

// shrink gives the room of taken jobs back once it is the larger part.
func (l *line[T]) shrink() {
	if cap(l.jobs) > 256 && len(l.jobs) < cap(l.jobs)/4 {
		l.jobs = append(make([]scored[T], 0, cap(l.jobs)/2), l.jobs...)
	}
}
