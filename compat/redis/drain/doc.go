// Package drain lets the runs of a Redis end beside a server that starts its runs
// elsewhere: it joins two queues and two stores into one, has limits count over
// both, knows which keys of starts the Redis has used, and tells what is left.
//
// It guarantees that a run is loaded, continued and ended where it is; that
// neither queue starves the other; and that what is executed from the Redis was
// granted by who counts the limits, and is told to him for as long as it lasts, as
// are the runs that have a place among those of their function.
// While the Redis is away nothing waits for it.
//
// It must not decide which limits apply, nor start runs, and knows no NATS.
package drain
