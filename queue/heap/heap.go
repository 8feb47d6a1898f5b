// Package heap owns the priority queue of the queue's packages: for jobs that
// wait for a worker or for a limit, for limits, and for deadlines.
//
// It guarantees that the element that is before all others is the one at index
// 0, and that each is told where it is whenever that changes. It allocates only
// to grow. It is not safe for concurrent use.
package heap

// Nowhere is the place of what is in no heap.
const Nowhere = -1

// Element is what a Heap orders.
type Element[T any] interface {
	Before(T) bool
	// At is told the element's index, or Nowhere when it is taken out. Elements
	// that are never removed or fixed by their index may ignore it.
	At(i int)
}

// Heap has its first element at index 0.
type Heap[T Element[T]] []T

// Push adds an element.
func (h *Heap[T]) Push(e T) {
	*h = append(*h, e)
	h.up(len(*h) - 1)
}

// Pop takes the first element out; the heap is not empty.
func (h *Heap[T]) Pop() T {
	first := (*h)[0]
	h.Remove(0)
	return first
}

// Remove takes the element at i out.
func (h *Heap[T]) Remove(i int) {
	s := *h
	var none T
	last := len(s) - 1
	s[i].At(Nowhere)
	moved := s[last]
	s[last] = none
	s = s[:last]
	*h = s
	if i < last {
		s[i] = moved
		h.Fix(i)
	}
	h.shrink()
}

// Fix restores the order after the element at i changed.
func (h *Heap[T]) Fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

// Order restores the order of all elements after the slice was changed.
func (h *Heap[T]) Order() {
	for i := range *h {
		(*h)[i].At(i)
	}
	for i := len(*h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h Heap[T]) up(i int) {
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !e.Before(h[parent]) {
			break
		}
		h.place(i, h[parent])
		i = parent
	}
	h.place(i, e)
}

func (h Heap[T]) down(i int) (moved bool) {
	e, from := h[i], i
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if right := child + 1; right < len(h) && h[right].Before(h[child]) {
			child = right
		}
		if !h[child].Before(e) {
			break
		}
		h.place(i, h[child])
		i = child
	}
	h.place(i, e)
	return i != from
}

func (h Heap[T]) place(i int, e T) {
	h[i] = e
	e.At(i)
}

// shrink gives the room of a heap back that was much larger.
func (h *Heap[T]) shrink() {
	if cap(*h) > 256 && len(*h) < cap(*h)/4 {
		*h = append(make(Heap[T], 0, cap(*h)/2), *h...)
	}
}
