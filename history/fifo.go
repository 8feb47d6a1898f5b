package history

// fifo is a queue in a ring that grows by doubling and does not shrink.
type fifo[T any] struct {
	ring []T
	head int
	n    int
}

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(64, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)%len(q.ring)] = v
	q.n++
}

// at is the i-th oldest; i must be below len.
func (q *fifo[T]) at(i int) T { return q.ring[(q.head+i)%len(q.ring)] }

// pop removes the oldest; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var zero T
	v := q.ring[q.head]
	q.ring[q.head] = zero // let it be collected
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return v
}
