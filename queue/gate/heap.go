package gate

// element is what a heap orders. A heap tells each where it is.
type element[T any] interface {
	before(T) bool
	at(i int)
}

// heap has its first element on top.
type heap[T element[T]] []T

func (h *heap[T]) push(e T) {
	*h = append(*h, e)
	e.at(len(*h) - 1)
	h.up(len(*h) - 1)
}

// pop takes the first element out; the heap is not empty.
func (h *heap[T]) pop() T {
	first := (*h)[0]
	h.remove(0)
	return first
}

// remove takes the element at i out.
func (h *heap[T]) remove(i int) {
	s := *h
	var none T
	last := len(s) - 1
	s[i].at(nowhere)
	moved := s[last]
	s[last] = none
	s = s[:last]
	if i < last {
		s[i] = moved
		moved.at(i)
	}
	*h = s
	if i < last {
		h.fix(i)
	}
	h.shrink()
}

// fix restores the order after the element at i changed.
func (h *heap[T]) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

// order restores the order of all elements.
func (h *heap[T]) order() {
	for i := range *h {
		(*h)[i].at(i)
	}
	for i := len(*h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *heap[T]) up(i int) {
	s := *h
	for i > 0 {
		parent := (i - 1) / 2
		if !s[i].before(s[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) (moved bool) {
	s := *h
	for {
		child := 2*i + 1
		if child >= len(s) {
			return moved
		}
		if right := child + 1; right < len(s) && s[right].before(s[child]) {
			child = right
		}
		if !s[child].before(s[i]) {
			return moved
		}
		h.swap(i, child)
		i, moved = child, true
	}
}

func (h *heap[T]) swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].at(i)
	s[j].at(j)
}

// shrink gives the room of a heap back that was much larger.
func (h *heap[T]) shrink() {
	if cap(*h) > 256 && len(*h) < cap(*h)/4 {
		*h = append(make(heap[T], 0, cap(*h)/2), *h...)
	}
}
