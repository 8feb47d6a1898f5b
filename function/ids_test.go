package function

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/expr"
)

// readFixture decodes a JSON fixture captured from a reference server.
func readFixture(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "tests", "testdata", "fixtures", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

type idCase struct {
	Kind string
	In   idInput
	Out  json.RawMessage
}

// idInput has the fields of all kinds of cases.
type idInput struct {
	Name        string
	StepURL     string `json:"step_url"`
	URL         string
	ForceHTTPS  bool `json:"force_https"`
	Value       any
	ID          string
	UUID        uuid.UUID
	GoText      string    `json:"go_text"`
	Function    uuid.UUID `json:"fn_id"`
	Account     uuid.UUID `json:"account_id"`
	Environment uuid.UUID `json:"env_id"`
	App         uuid.UUID `json:"app_id"`
	Event       any
	Expr        string
	ExprHash    string `json:"expr_hash"`
	ValueHash   string `json:"evaluated_key_hash"`
	Scope       Scope
	Kind        string
	RunID       string   `json:"run_id"`
	Idempotency string   `json:"run_idempotency_key"`
	StepID      string   `json:"step_id"`
	StepIDs     []string `json:"step_ids"`
	EventKey    string   `json:"idempotency_key"`
	InternalID  string   `json:"event_internal_id"`
	OriginalRun string   `json:"original_run_id"`
	BatchID     string   `json:"batch_id"`
	If          string   `json:"if_interpolated"`
	Key         string
	HashedID    string `json:"hashed_id"`
	MS          int64
	Seed        string
	Header      string
	Index       int
	Generation  int
	JobID       string `json:"job_id"`
	NowMS       int64  `json:"now_ms"`
	Next        time.Time
	Version     int   `json:"fn_version"`
	MaxMS       int64 `json:"max_ms"`
	JSON        string
	Note        string
}

func TestIDsMatchReference(t *testing.T) {
	t.Parallel()
	var raw []struct {
		Kind    string
		In, Out json.RawMessage
	}
	readFixture(t, "ids.json", &raw)
	require.Len(t, raw, 191)
	for i, r := range raw {
		t.Run(fmt.Sprintf("%d %s", i, r.Kind), func(t *testing.T) {
			t.Parallel()
			c := idCase{Kind: r.Kind, Out: r.Out}
			require.NoError(t, json.Unmarshal(r.In, &c.In))
			c.In.Event, _ = c.In.Event.(map[string]any) // an event's name in cancel_pause_uuid
			if r.Kind == "cancel_pause_uuid" {
				require.NoError(t, json.Unmarshal(r.In, &struct{ Event *any }{&c.In.Event}))
			}
			derive, ok := derivations[c.Kind]
			require.True(t, ok, "no derivation for %s", c.Kind)
			got, err := json.Marshal(derive(t, c.In))
			require.NoError(t, err)
			require.JSONEq(t, string(c.Out), string(got), "%+v", c.In)
		})
	}
}

// derivations gives, by the kind of a case, what its output should be.
var derivations = map[string]func(t *testing.T, in idInput) any{
	"app_uuid":             func(_ *testing.T, in idInput) any { return AppID(in.Name) },
	"fn_uuid":              func(_ *testing.T, in idInput) any { return FunctionID(in.Name, in.StepURL) },
	"normalize_url":        func(_ *testing.T, in idInput) any { return NormalizeURL(in.URL, in.ForceHTTPS) },
	"xxhash36":             func(_ *testing.T, in idInput) any { return Hash(in.Value.(string)) },
	"hash_id":              func(_ *testing.T, in idInput) any { return Hash(in.ID) },
	"xxhash36_any":         func(_ *testing.T, in idInput) any { return Hash(in.GoText) },
	"xxhash36_uuid_bytes":  func(_ *testing.T, in idInput) any { return HashBytes(in.UUID[:]) },
	"xxhash36_uuid_string": func(_ *testing.T, in idInput) any { return Hash(in.UUID.String()) },
	"concurrency_key":      deriveConcurrency,
	"rate_limit_key":       deriveRateLimit,
	"singleton_key":        deriveSingleton,
	"throttle_key":         deriveThrottle,
	"constraint_state_key": deriveConstraint,
	"semaphore_id":         deriveSemaphore,
	"run_idempotency":      deriveRunKey,
	"job_id":               deriveJob,
	"coalesce_key":         func(_ *testing.T, in idInput) any { return CoalesceKey(in.RunID, in.StepIDs) },
	"pause_uuid":           func(_ *testing.T, in idInput) any { return PauseID(in.RunID, in.StepID) },
	"cancel_pause_uuid":    func(_ *testing.T, in idInput) any { return CancelPauseID(in.Idempotency, in.Event.(string), in.If) },
	"batch_key_hash":       func(_ *testing.T, in idInput) any { return BatchKeyHash(in.Key) },
	"defer_event_id": func(_ *testing.T, in idInput) any {
		return DeferEventID(ulid.MustParse(in.RunID), in.HashedID)
	},
	"deterministic_ulid": func(_ *testing.T, in idInput) any { return DeterministicULID(time.UnixMilli(in.MS), in.Seed) },
	"seeded_event_id": func(t *testing.T, in idInput) any {
		seed, ok := ParseSeed(in.Header)
		require.True(t, ok)
		return seed.Increment(uint32(in.Index))
	},
	"request_id": func(_ *testing.T, in idInput) any {
		return RequestID(time.UnixMilli(in.NowMS), in.JobID, in.Generation)
	},
	"cron_job_id": deriveCronJob,
	"cron_jitter_ns": func(_ *testing.T, in idInput) any {
		return CronJitter(in.Seed, time.Duration(in.MaxMS)*time.Millisecond)
	},
	"trigger_hash": func(t *testing.T, in idInput) any {
		var trigger Trigger
		require.NoError(t, json.Unmarshal([]byte(in.JSON), &trigger))
		hash, err := trigger.Hash()
		require.NoError(t, err)
		return hash
	},
}

// value evaluates the case's key expression.
func (in idInput) value() (expr.Result, error) {
	return expr.Eval(in.Expr, map[string]any{"event": in.Event})
}

// text is the value of a key of which any failure counts as false.
func (in idInput) text() string {
	result, err := in.value()
	if err != nil {
		return "false"
	}
	return result.Text()
}

func deriveConcurrency(_ *testing.T, in idInput) any {
	id := map[Scope]uuid.UUID{ScopeFunction: in.Function, ScopeEnvironment: in.Environment, ScopeAccount: in.Account}[in.Scope]
	key := ConcurrencyKey(in.Scope, id, in.text())
	return map[string]any{
		"evaluated": in.text(), "expr_hash": Hash(in.Expr), "key": key,
		"stored": map[string]any{"k": key, "h": Hash(in.Expr), "l": 3},
	}
}

func deriveRateLimit(_ *testing.T, in idInput) any {
	if in.Expr == "" {
		return map[string]string{"key": FunctionKey(in.Function)}
	}
	result, err := in.value()
	if err != nil {
		return map[string]string{"error": "rate limit expression evaluation failed"}
	}
	if result.IsFalse() {
		return map[string]string{"error": "not rate limited"}
	}
	return map[string]string{"key": FunctionValueKey(in.Function, result.Text())}
}

func deriveSingleton(_ *testing.T, in idInput) any {
	result, err := in.value()
	if err != nil {
		return map[string]string{"error": "singleton expression evaluation failed"}
	}
	if result.IsFalse() {
		return map[string]string{"error": "singleton expression resolved to false"}
	}
	return map[string]string{"key": FunctionValueKey(in.Function, result.Text())}
}

func deriveThrottle(_ *testing.T, in idInput) any {
	evaluated, key, burst := in.Function.String(), ThrottleKey(in.Function), 0
	if in.Expr != "" {
		evaluated, key, burst = in.text(), ThrottleValueKey(in.Function, in.text()), 2
	}
	return map[string]any{
		"evaluated": evaluated,
		"stored":    map[string]any{"k": key, "l": 5, "b": burst, "p": 90, "keh": Hash(in.Expr)},
	}
}

func deriveConstraint(_ *testing.T, in idInput) any {
	constraint := map[string]Constraint{
		"rate_limit": ConstraintRateLimit, "throttle": ConstraintThrottle, "concurrency": ConstraintConcurrency,
	}[in.Kind]
	id := in.Function
	switch in.Scope {
	case ScopeEnvironment:
		id = in.Environment
	case ScopeAccount:
		id = in.Account
	}
	return ConstraintKey(constraint, in.Scope, in.Account, id, in.ExprHash, in.ValueHash)
}

func deriveSemaphore(_ *testing.T, in idInput) any {
	if in.Kind == "app" {
		return AppSemaphore(in.App)
	}
	return RunSemaphore(in.Function, in.Expr)
}

func deriveRunKey(_ *testing.T, in idInput) any {
	key := in.InternalID
	if in.EventKey != "" {
		key = in.EventKey
	}
	if in.OriginalRun != "" {
		key = in.RunID
	}
	if key == "" {
		key = in.BatchID
	}
	idempotency := IdempotencyKey(in.Function, key)
	run := RunKey(in.Function, idempotency)
	return map[string]string{
		"key": idempotency, "start_job": run, "start_job_hash": StartJob(run), "state_key": idempotency, "step_key_prefix": run,
	}
}

func deriveJob(t *testing.T, in idInput) any {
	key := RunKey(in.Function, in.Idempotency)
	const batch = "01HZX3V5R0BBBBBBBBBBBBBBBB"
	coalesce := CoalesceKey(in.RunID, []string{"b", "a"})
	jobs := map[string][2]string{
		"discovery after step":                 {StepJobName(key, in.StepID, JobDiscovery), DiscoveryJob(key, in.StepID)},
		"planned step":                         {StepJobName(key, in.StepID, JobPlan), PlanJob(key, in.StepID)},
		"after failed step":                    {StepJobName(key, in.StepID, JobFailure), FailureJob(key, in.StepID)},
		"resume by event":                      {StepJobName(key, in.StepID, JobEvent), EventJob(key, in.StepID)},
		"resume by timeout":                    {StepJobName(key, in.StepID, JobTimeout), TimeoutJob(key, in.StepID)},
		"pause timeout (wait, invoke, signal)": {StepJobName(key, in.StepID, JobDiscovery), PauseTimeoutJob(key, in.StepID)},
		"coalesced discovery":                  {CoalescedJobName(in.RunID, coalesce), CoalescedJob(in.RunID, coalesce)},
		"start timeout cancel":                 {StartTimeoutJobName(key), StartTimeoutJob(key)},
		"finish timeout cancel":                {FinishTimeoutJobName(key), FinishTimeoutJob(key)},
		"batch schedule":                       {BatchJobName(EnvironmentID, batch), BatchJob(EnvironmentID, batch)},
		"debounce":                             {batch, DebounceJob(batch)},
	}
	require.Contains(t, jobs, in.Kind)
	return map[string]string{"job_id": jobs[in.Kind][0], "hash": jobs[in.Kind][1]}
}

func deriveCronJob(t *testing.T, in idInput) any {
	tick := in.Next
	if in.Note == "server local zone Europe/Oslo" {
		zone, err := time.LoadLocation("Europe/Oslo")
		require.NoError(t, err)
		tick = tick.In(zone)
	}
	return map[string]string{
		"raw":  CronJobName(tick, in.Expr, in.Function, in.Version),
		"hash": CronJob(tick, in.Expr, in.Function, in.Version),
	}
}

// The examples of sdk-protocol §§4.1-4.7 that were captured from traffic.
func TestCapturedIDs(t *testing.T) {
	t.Parallel()
	fn := FunctionID("main", "http://localhost:18101/api/inngest?fnId=v3-app-main&stepId=step")
	require.Equal(t, "49de9300-2045-5162-8a78-87a6b3905bf5", fn.String())
	key := RunKey(fn, IdempotencyKey(fn, "01M8ADZCT60CCNCEVS1P7B0NG7"))
	require.Equal(t, "3l6eywz7lvhw7", StartJob(key))
	require.Equal(t, "xj0pl6j49z06", SleepJob(key, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"))
	require.Equal(t, "20jcwgxsntzt", PlanJob(key, "b78f576611ec06f96af3ca654c22172a5d746c40"))

	run := "01M8AET0YF1VEAYWNXD1BS5P14"
	coalesce := CoalesceKey(run, []string{"b78f576611ec06f96af3ca654c22172a5d746c40", "c5fd961c9f737a955a308050062e7a2c34ee67c3"})
	require.Equal(t, "0357c4d71929fbb8", coalesce)
	require.Equal(t, "1vwzwzzff7a4q", CoalescedJob(run, coalesce))

	require.Equal(t, "01M8ADZCZ4YQ870JKK65JZ0V28", RequestID(time.UnixMilli(1795646534628), "3l6eywz7lvhw7", 1).String())
	app := EndpointAppID(EnvironmentID, "http://127.0.0.1:18101")
	require.Equal(t, "958ba392-69fa-5aa6-8e2a-498b003aa6e9", app.String())
	require.Equal(t, "c93b3aec-66cc-5d8d-8308-60d660db71cd", EndpointFunctionID(app, "GET /simple").String())
	require.Equal(t, "R.s", CorrelationID("R", "s"))
	require.Equal(t, Hash(key+"-s-sync-retry"), SyncRetryJob(key, "s"))
}

func TestQueueItemID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "MnM3dXZqMnpjZDhhNzo6ZGVmYXVsdA==", QueueItemID("2s7uvj2zcd8a7"))
	job, shard, err := ParseQueueItemID("MnM3dXZqMnpjZDhhNzo6ZGVmYXVsdA==")
	require.NoError(t, err)
	require.Equal(t, "2s7uvj2zcd8a7", job)
	require.Equal(t, DefaultShard, shard)
	for _, bad := range []string{"", "%", "bm8gc2hhcmQ=", "OjpkZWZhdWx0"} {
		_, _, err := ParseQueueItemID(bad)
		require.ErrorIs(t, err, ErrQueueItemID, bad)
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	seed, ok := ParseSeed("1795645090291,K/HVx1JnBr65Eg==")
	require.True(t, ok)
	require.Equal(t, "01M8ACKAFK5FRXBHTJCW3BXE8K", seed.EventID(0).String())
	require.Equal(t, "01M8ACKAFK5FRXBHTJCW3BXE8M", seed.EventID(1).String())
	require.Equal(t, "01M8ACKAFK5FRXBHTJCW3BXE8J", seed.InvokeEventID().String())

	second, ok := SeededEventID("1795645090291,K/HVx1JnBr65Eg==", 1)
	require.True(t, ok)
	require.Equal(t, seed.EventID(1), second)

	wrapping, ok := ParseSeed("1,AAAAAAAA/////w==") // the counter is at its end
	require.True(t, ok)
	require.Equal(t, "00000000010000000000000000", wrapping.EventID(0).String())

	for _, bad := range []string{
		"", "1795645090291", "0,K/HVx1JnBr65Eg==", "-1,K/HVx1JnBr65Eg==", "x,K/HVx1JnBr65Eg==", "1,K/HVx1JnBr65Eg==,2",
		"1,K/HVx1JnBr65", "1,AAAA", "281474976710656,K/HVx1JnBr65Eg==",
	} {
		_, ok := SeededEventID(bad, 0)
		require.False(t, ok, bad)
	}
}

func TestCronJitterBounds(t *testing.T) {
	t.Parallel()
	require.Zero(t, CronJitter("seed", 0))
	require.Zero(t, CronJitter("seed", 999*time.Millisecond))
	for i := range 100 {
		jitter := CronJitter(fmt.Sprint(i), 2*time.Second)
		require.GreaterOrEqual(t, jitter, MinCronJitter)
		require.Less(t, jitter, 2*time.Second)
	}
}

// sdk-protocol §4.7.
func TestStepID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", StepID("a", 0))
	require.Equal(t, "de89bfaf06245091a7873290a793604612302247", StepID("a", 1))
}
