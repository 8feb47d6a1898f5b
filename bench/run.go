package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a measurement.
type Options struct {
	// URL is a running server to measure; "" starts one from Binary.
	URL       string
	EventKey  string
	Bearer    string
	Binary    string
	Scenarios []string // by name; empty = all that apply
	Scale     float64  // of the amounts, default 1
	Rate      int      // runs a second that noop and three offer; 0 for as many as the server takes
	Args      []string // further arguments of the started server
	Engines   []string // each scenario is measured with each; empty = the server's default
	RedisURI  string   // of the Redis for EngineRedis, "" starts one for each measurement
}

// Result is one measured figure.
type Result struct {
	Scenario string
	What     string
	Value    float64
	Unit     string
}

func (r Result) String() string {
	return fmt.Sprintf("%-12s %-38s %12s %s", r.Scenario, r.What, strconv.FormatFloat(r.Value, 'f', decimals(r.Value), 64), r.Unit)
}

func decimals(v float64) int {
	switch {
	case v >= 100:
		return 0
	case v >= 1:
		return 2
	}
	return 3
}

// scenario measures one thing on a server of its own.
type scenario struct {
	name  string
	about string
	child bool // needs a server it can look into and kill
	named bool // measured only when asked for by name
	// nativeOnly is of amounts that no Redis is measured with.
	nativeOnly bool

	run func(ctx context.Context, m *measurement) error
}

var scenarios = []scenario{
	{name: "start", about: "cold start of an empty server", child: true, run: measureStart},
	{name: "ingest", about: "events accepted, in batches of 100", run: measureIngest},
	{name: "noop", about: "runs without steps, end to end", run: func(ctx context.Context, m *measurement) error { return measureRuns(ctx, m, "noop", 30_000) }},
	{name: "three", about: "runs of three steps, end to end", run: func(ctx context.Context, m *measurement) error { return measureRuns(ctx, m, "three", 10_000) }},
	{name: "latency", about: "event to first call, at 50 events/s", run: measureLatency},
	{name: "keys", about: "runs of a function with a limit of 1 for each of 1,000 keys", run: measureKeys},
	{name: "fair", about: "event to first call, behind 100,000 queued runs of another function", nativeOnly: true, run: measureFair},
	{name: "waits", about: "events resume runs, 100,000 of which wait on one name", child: true, nativeOnly: true, run: measureWaits},
	{name: "sleep", about: "100,000 sleeping runs: memory, recovery, wake-up", child: true, nativeOnly: true,
		run: func(ctx context.Context, m *measurement) error { return measureSleep(ctx, m, 100_000) }},
	{name: "history", about: "1,000,000 runs made, listed and traced (takes minutes: only when named)", named: true, run: measureHistory},
	{name: "lists", about: "reads a history that the server has (only when named)", named: true, run: measureLists},
	{name: "million", about: "1,000,000 sleeping runs: memory, recovery, wake-up (takes minutes: only when named)", child: true, named: true,
		run: func(ctx context.Context, m *measurement) error { return measureSleep(ctx, m, 1_000_000) }},
}

// Scenarios lists the names and what they measure.
func Scenarios() []string {
	var list []string
	for _, s := range scenarios {
		list = append(list, s.name+": "+s.about)
	}
	return list
}

// measurement is one scenario being run.
type measurement struct {
	scenario string
	scale    float64
	rate     int // see Options.Rate
	target   *Target
	app      *App
	cold     time.Duration // start of the target until healthy
	results  []Result
	out      io.Writer
}

func (m *measurement) report(what string, value float64, unit string) {
	r := Result{m.scenario, what, value, unit}
	m.results = append(m.results, r)
	_, _ = fmt.Fprintln(m.out, r) // a closed terminal does not stop the measurement
}

func (m *measurement) amount(n int) int { return max(1, int(float64(n)*m.scale)) }

// Run measures and prints each figure as it is known.
func Run(ctx context.Context, opts Options, out io.Writer) ([]Result, error) {
	if opts.Scale == 0 {
		opts.Scale = 1
	}
	if err := known(opts.Scenarios); err != nil {
		return nil, err
	}
	var results []Result
	for _, s := range scenarios {
		wanted := len(opts.Scenarios) == 0 && !s.named || slices.Contains(opts.Scenarios, s.name)
		if !wanted || s.child && opts.URL != "" {
			continue
		}
		for _, engine := range opts.engines(s) {
			got, err := runScenario(ctx, opts, s, engine, out)
			results = append(results, got...)
			if err != nil {
				return results, fmt.Errorf("scenario %s: %w", title(s.name, engine), err)
			}
		}
	}
	return results, nil
}

func known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("unknown scenario %q; there are:\n  %s", name, strings.Join(Scenarios(), "\n  "))
		}
	}
	return nil
}

func runScenario(ctx context.Context, opts Options, s scenario, engine string, out io.Writer) ([]Result, error) {
	m := &measurement{scenario: title(s.name, engine), scale: opts.Scale, rate: opts.Rate, out: out}
	if opts.URL != "" {
		m.target = &Target{URL: strings.TrimSuffix(opts.URL, "/"), EventKey: opts.EventKey, Bearer: opts.Bearer}
	} else {
		dir, err := os.MkdirTemp("", "jetstep-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		args, stop, err := opts.withEngine(ctx, engine, dir)
		if err != nil {
			return nil, err
		}
		defer stop()
		target, cold, err := StartTarget(ctx, opts.Binary, dir, args...)
		if err != nil {
			return nil, err
		}
		defer target.Stop()
		m.target, m.cold = target, cold
	}
	if err := m.target.Await(ctx, "/ready"); err != nil {
		return nil, err
	}
	app, err := StartApp("bench-" + filepath.Base(s.name))
	if err != nil {
		return nil, err
	}
	defer app.Close()
	m.app = app
	if err := app.Register(ctx, m.target.URL, m.target.Bearer); err != nil {
		return nil, err
	}
	err = s.run(ctx, m)
	return m.results, err
}

func measureStart(_ context.Context, m *measurement) error {
	m.report("cold start to healthy", float64(m.cold.Milliseconds()), "ms")
	now, _ := m.target.Memory()
	m.report("memory of the idle server", float64(now)/(1<<20), "MiB")
	return nil
}

// cpuPer reports the server's processor time for each thousand of n.
func (m *measurement) cpuPer(before time.Duration, n int, what string) {
	if after, ok := m.target.CPU(); ok {
		m.report("server CPU per 1,000 "+what, (after-before).Seconds()*1000/float64(n), "s")
	}
}

func measureIngest(ctx context.Context, m *measurement) error {
	n := m.amount(300_000)
	if err := m.target.sendAll(ctx, "bench/unheard", m.amount(5_000), 100, 4); err != nil {
		return err
	}
	before, _ := m.target.CPU()
	begin := time.Now()
	if err := m.target.sendAll(ctx, "bench/unheard", n, 100, 4); err != nil {
		return err
	}
	m.report("events accepted", float64(n)/time.Since(begin).Seconds(), "events/s")
	m.cpuPer(before, n, "events")
	_, peak := m.target.Memory()
	if peak > 0 {
		m.report("peak memory", float64(peak)/(1<<20), "MiB")
	}
	return nil
}

// measureLatency sends single events at a steady pace and takes the time until
// the function is called, which includes accepting the event.
func measureLatency(ctx context.Context, m *measurement) error {
	const rate = 50
	n := m.amount(1_000)
	d := newDelays()
	called := d.end
	m.app.Called.Store(&called)
	if err := m.sendPaced(ctx, d, "bench/noop", n, rate); err != nil {
		return err
	}
	if err := until(ctx, "calls", time.Minute, func() bool { return d.count() >= n }); err != nil {
		return err
	}
	m.report("event to first call, p50", d.percentile(50), "ms")
	m.report("event to first call, p99", d.percentile(99), "ms")
	return nil
}

// sendPaced sends n single events, so many a second, and notes when.
func (m *measurement) sendPaced(ctx context.Context, d *delays, name string, n, rate int) error {
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	var answers sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		<-pace.C
		answers.Go(func() {
			d.begin(i, time.Now())
			if err := m.target.send(ctx, fmt.Appendf(nil, `{"name":"%s","data":{"n":%d}}`, name, i)); err != nil {
				failed <- err
			}
		})
	}
	answers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
