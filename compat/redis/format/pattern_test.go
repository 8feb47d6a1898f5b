package format_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

// TestCapturedKeys: every captured key has a pattern, holds what the pattern
// says, and is what the typed function of the pattern makes of its parts.
func TestCapturedKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for file, entries := range readCaptures(t) {
		for _, e := range entries {
			if e.gone() {
				continue
			}
			pattern, parts, ok := format.Identify(e.Key)
			require.True(t, ok, "%s: %s", file, e.Key)
			require.Equal(t, pattern.Type, e.Type, e.Key)
			seen[pattern.Template] = true
			build, ok := builders()[pattern.Template]
			require.True(t, ok, "no function makes %s", pattern.Template)
			require.Equal(t, e.Key, build(key{t, parts}), file)
			for _, thing := range e.things(t) {
				require.NoError(t, format.Check(e.Key, e.Type, thing.Entry), file)
			}
		}
	}
	require.Len(t, seen, 70, "patterns that were captured: %v", slices.Sorted(maps.Keys(seen)))
}

// TestEveryPattern: what a typed function makes is recognised as its pattern,
// also the kinds of keys that were never captured.
func TestEveryPattern(t *testing.T) {
	t.Parallel()
	made := builders()
	for _, p := range format.Patterns() {
		build, ok := made[p.Template]
		require.True(t, ok, "no function makes %s", p.Template)
		name := build(key{t, example})
		found, parts, ok := format.Identify(name)
		require.True(t, ok, name)
		require.Equal(t, p.Template, found.Template, name)
		require.Equal(t, name, build(key{t, parts}))
		delete(made, p.Template)
	}
	require.Empty(t, made, "patterns that are none")
}

var example = format.Parts{
	"run": "01M8AFD44GEAS21CWY6S6WK2XR", "batch": "01M8AFFXJF4F62JZK427S42KTP", "event": "01M8AFCGNVEEWYNZQBYCMXZR5T",
	"lease": "01M8AD2263XEYDB6PNARNG1KCY", "request": "01M8AD14WK982EVNZ6JAM1NR50",
	"function": "62755c39-95cf-5e64-a26b-73152f904cd8", "environment": "00000000-0000-4000-b000-000000000000",
	"account": "00000000-0000-4000-a000-000000000000", "app": "1f05a43e-2ac4-5b36-8b78-6045be577c3c",
	"pause": "74092103-ced1-565e-9513-711d647709e0", "scoped": "fb10791f-bcf5-5313-ad26-d314aded75ef",
	"hash": "65usth7jouda", "item": "2o08yktwbnwx6", "status": "in-progress", "operation": "acq", "scope": "e",
	"limit": "<1fxdpyxsh05fo:66tl9lbp7ri1>", "value": "66tl9lbp7ri1", "...": "fn:a b<c>",
}

// key is what the parts of a key are.
type key struct {
	t     *testing.T
	parts format.Parts
}

func (k key) ulid(part string) ulid.ULID {
	id, err := format.ParseULID(k.parts[part])
	require.NoError(k.t, err)
	return id
}

func (k key) uuid(part string) uuid.UUID {
	id, err := format.ParseUUID(k.parts[part])
	require.NoError(k.t, err)
	return id
}

func (k key) text() string        { return k.parts["..."] }
func (k key) run() ulid.ULID      { return k.ulid("run") }
func (k key) function() uuid.UUID { return k.uuid("function") }
func (k key) env() uuid.UUID      { return k.uuid("environment") }
func (k key) account() uuid.UUID  { return k.uuid("account") }
func (k key) scope() format.Scope { return format.Scope(k.parts["scope"][0]) }
func (k key) limit() (e format.Evaluated) {
	text := k.parts["limit"]
	if text == "" {
		return e
	}
	for i, c := range text {
		if c == ':' {
			return format.Evaluated{Expression: text[1:i], Value: text[i+1 : len(text)-1]}
		}
	}
	return e
}

func fixed(name string) func(key) string { return func(key) string { return name } }

// instance is a key whose part is the hash of a name that it does not tell.
func instance(of func(uuid.UUID, string) string) func(key) string {
	return func(k key) string {
		name := of(k.env(), "worker-1")
		hash := function.Hash("worker-1")
		require.Equal(k.t, hash, name[len(name)-len(hash):])
		return name[:len(name)-len(hash)] + k.parts["hash"]
	}
}

// builders are the typed functions by the template of what they make.
func builders() map[string]func(key) string {
	all := map[string]func(key) string{}
	for _, name := range []string{
		format.PauseIndexKey, format.ItemsKey, format.PartitionsKey, format.PointersKey, format.AccountsKey, format.LeasedKey,
		format.DebouncesKey, format.DebounceMoving, format.BacklogsKey, format.ShadowsKey, format.ShadowPointersKey,
		format.ShadowAccountsKey, format.NormalizeKey, format.RoleSequentialKey, format.RoleScavengerKey,
		format.RoleInstrumentsKey, format.RoleLatencyKey, format.SetAsideKey, format.PausesAsideKey, format.ConstraintAccountsKey, format.GatewaysKey,
	} {
		all[name] = fixed(name)
	}
	all["{queue}:jetstep:aside:<lease>:<...>"] = func(k key) string { return format.AsideKey("{queue}:"+k.text(), k.ulid("lease")) }
	all["{estate}:jetstep:aside:<lease>:<...>"] = func(k key) string { return format.AsideKey("{estate}:"+k.text(), k.ulid("lease")) }
	maps.Copy(all, runBuilders())
	maps.Copy(all, queueBuilders())
	maps.Copy(all, limitBuilders())
	return all
}

func runBuilders() map[string]func(key) string {
	return map[string]func(key) string{
		"{estate:<run>}:metadata:<run>":                       func(k key) string { return format.MetadataKey(k.run()) },
		"{estate:<run>}:bulk-events:<function>:<run>":         func(k key) string { return format.EventsKey(k.run(), k.function()) },
		"{estate:<run>}:actions:<function>:<run>":             func(k key) string { return format.ActionsKey(k.run(), k.function()) },
		"{estate:<run>}:stack:<run>":                          func(k key) string { return format.StackKey(k.run()) },
		"{estate:<run>}:pending:<function>:<run>":             func(k key) string { return format.PendingKey(k.run(), k.function()) },
		"{estate:<run>}:inputs:<function>:<run>":              func(k key) string { return format.InputsKey(k.run(), k.function()) },
		"{estate:<run>}:defers-meta:<function>:<run>":         func(k key) string { return format.DefersKey(k.run(), k.function()) },
		"{estate:<run>}:defers-input:<function>:<run>":        func(k key) string { return format.DeferInputsKey(k.run(), k.function()) },
		"{estate:<run>}:defers-control-meta:<function>:<run>": func(k key) string { return format.DeferControlKey(k.run(), k.function()) },
		"{estate:<account>}:key:<...>":                        func(k key) string { return format.ClaimKey(k.account(), k.text()) },
		"{estate:<account>}:key:<...>:finalize":               func(k key) string { return format.FinalizeKey(k.account(), k.text()) },

		"{estate}:pauses:<pause>":                     func(k key) string { return format.PauseKey(k.uuid("pause")) },
		"{estate}:pause-events:<environment>:<...>":   func(k key) string { return format.PauseEventsKey(k.env(), k.text()) },
		"{estate}:pause-idx:add:<environment>:<...>":  func(k key) string { return format.PauseAddedKey(k.env(), undashed(k.text())) },
		"{estate}:pause-idx:exp:<environment>:<...>":  func(k key) string { return format.PauseExpiresKey(k.env(), undashed(k.text())) },
		"{estate}:pr:<run>":                           func(k key) string { return format.RunPausesKey(k.run()) },
		"{estate}:invoke:<environment>":               func(k key) string { return format.InvokesKey(k.env()) },
		"{estate}:signal:<environment>":               func(k key) string { return format.SignalsKey(k.env()) },
		"{estate}:pause-block:<pause>":                func(k key) string { return format.PauseBlockKey(k.uuid("pause")) },
		"{<environment>}:conns":                       func(k key) string { return format.ConnectionsKey(k.env()) },
		"{<environment>}:conns_appid:<app>":           func(k key) string { return format.AppConnectionsKey(k.env(), k.uuid("app")) },
		"{<environment>}:groups":                      func(k key) string { return format.WorkerGroupsKey(k.env()) },
		"{<environment>}:groups:<hash>":               func(k key) string { return format.GroupConnectionsKey(k.env(), k.parts["hash"]) },
		"{<environment>}:request-lease:<request>":     func(k key) string { return format.RequestLeaseKey(k.env(), k.ulid("request")) },
		"{<environment>}:buffered-response:<request>": func(k key) string { return format.ResponseKey(k.env(), k.ulid("request")) },
		"{<environment>}:request-worker:<request>":    func(k key) string { return format.RequestWorkerKey(k.env(), k.ulid("request")) },
		"{<environment>}:worker-capacity:<hash>":      instance(format.WorkerCapacityKey),
		"{<environment>}:worker-requests-set:<hash>":  instance(format.WorkerRequestsKey),
	}
}

func undashed(event string) string {
	if event == "-" {
		return ""
	}
	return event
}

func queueBuilders() map[string]func(key) string {
	return map[string]func(key) string{
		"{queue}:accounts:<account>:partition:sorted":   func(k key) string { return format.AccountPointersKey(k.account()) },
		"{queue}:accounts:<account>:shadows:sorted":     func(k key) string { return format.AccountShadowsKey(k.account()) },
		"{queue}:queue:sorted:<...>":                    func(k key) string { return format.ReadyKey(k.text()) },
		"{queue}:scavenger:<...>:sorted":                func(k key) string { return format.ScavengerKey(k.text()) },
		"{queue}:idx:run:<run>":                         func(k key) string { return format.RunIndexKey(k.run()) },
		"{queue}:queue:status:<function>:<status>":      func(k key) string { return format.StatusKey(k.function(), k.parts["status"]) },
		"{queue}:queue:seen:<item>":                     func(k key) string { return format.SeenKey(k.parts["item"]) },
		"{queue}:queue:item:peek:<item>":                func(k key) string { return format.PeekKey(k.parts["item"]) },
		"{queue}:migrate-lock:<function>":               func(k key) string { return format.MigrateLockKey(k.function()) },
		"{queue}:singleton:<function>":                  func(k key) string { return format.SingletonKey(k.parts["function"]) },
		"{queue}:singleton:<function>-<hash>":           func(k key) string { return format.SingletonKey(k.parts["function"] + "-" + k.parts["hash"]) },
		"{queue}:singleton-run:<run>":                   func(k key) string { return format.SingletonRunKey(k.run()) },
		"{queue}:debounce-ptrs:<function>:<...>":        func(k key) string { return format.DebouncePointerKey(k.function(), k.text()) },
		"{queue}:backlog:sorted:<...>":                  func(k key) string { return format.BacklogKeyOf(k.text()) },
		"{queue}:backlog:<...>:lease":                   func(k key) string { return format.BacklogLeaseKey(k.text()) },
		"{queue}:shadow:sorted:<...>":                   func(k key) string { return format.ShadowKey(k.text()) },
		"{queue}:normalize:accounts:<account>:sorted":   func(k key) string { return format.NormalizeAccountKey(k.account()) },
		"{queue}:normalize:partition:<...>:sorted":      func(k key) string { return format.NormalizePartitionKey(k.text()) },
		"{queue:<function>}:workflows:<function>:batch": func(k key) string { return format.BatchPointerKey(k.function()) },
		"{queue:<function>}:batches:<batch>":            func(k key) string { return format.BatchKey(k.function(), k.ulid("batch")) },
		"{queue:<function>}:batches:<batch>:metadata":   func(k key) string { return format.BatchMetadataKey(k.function(), k.ulid("batch")) },
		"{queue:<function>}:batch_idem:<event>":         func(k key) string { return format.BatchSeenKey(k.function(), k.ulid("event")) },
		"{queue:<function>}:workflows:<function>:batch:<...>": func(k key) string {
			require.Contains(k.t, format.BatchKeyPointerKey(k.function(), "red"), ":batch:sfUaUR8doM00i4+FmNsy5hy5Y+X8aeK0FIW/mVkO11o=")
			return format.BatchPointerKey(k.function()) + ":" + k.text()
		},
	}
}

func limitBuilders() map[string]func(key) string {
	return map[string]func(key) string{
		"{cs}:a:<account>:leaseq":                       func(k key) string { return format.CapacityLeasesKey(k.account()) },
		"{cs}:a:<account>:ld:<lease>":                   func(k key) string { return format.CapacityLeaseKey(k.account(), k.ulid("lease")) },
		"{cs}:a:<account>:rs:<request>":                 func(k key) string { return format.RequestKey(k.account(), k.ulid("request")) },
		"{cs}:a:<account>:ik:cc:<hash>":                 func(k key) string { return format.ChargedKey(k.account(), k.parts["hash"]) },
		"{cs}:a:<account>:sem:<...>:cap":                func(k key) string { return format.SemaphoreCapacityKey(k.account(), k.text()) },
		"{cs}:a:<account>:rl:f:<function><limit>":       func(k key) string { return format.RateLimitKey(k.account(), k.function(), k.limit()) },
		"{cs}:a:<account>:throttle:f:<function><limit>": func(k key) string { return format.ThrottleKey(k.account(), k.function(), k.limit()) },
		"{cs}:a:<account>:sem:<...>:usage:<value>":      func(k key) string { return format.SemaphoreUsageKey(k.account(), k.text(), k.parts["value"]) },
		"{cs}:a:<account>:sem:ik:<operation>:<...>":     func(k key) string { return format.SemaphoreOnceKey(k.account(), k.parts["operation"], k.text()) },
		"{cs}:a:<account>:ik:op:<operation>:<hash>":     func(k key) string { return format.OperationKey(k.account(), k.parts["operation"], k.parts["hash"]) },
		"{cs}:a:<account>:concurrency:<scope>:<scoped><limit>": func(k key) string {
			return format.ConcurrencyKeyOf(k.account(), k.scope(), k.uuid("scoped"), k.limit())
		},
	}
}

// TestConstraintKeys: the vectors of ids.json for the keys of limits.
func TestConstraintKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(fixtures + "ids.json")
	require.NoError(t, err)
	var vectors []struct {
		Kind string
		In   json.RawMessage
		Out  json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &vectors))
	tested := 0
	for _, v := range vectors {
		if v.Kind != "constraint_state_key" {
			continue
		}
		tested++
		var in struct {
			AccountID, EnvID, FnID   uuid.UUID
			Kind, Scope, Hash, Value string
		}
		fields := map[string]any{
			"account_id": &in.AccountID, "env_id": &in.EnvID, "fn_id": &in.FnID, "kind": &in.Kind, "scope": &in.Scope,
			"expr_hash": &in.Hash, "evaluated_key_hash": &in.Value,
		}
		var raw map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(v.In, &raw))
		for name, value := range raw {
			require.NoError(t, json.Unmarshal(value, fields[name]), name)
		}
		var want string
		require.NoError(t, json.Unmarshal(v.Out, &want))
		key := format.Evaluated{Expression: in.Hash, Value: in.Value}
		if in.Hash == "" {
			key = format.Evaluated{}
		}
		switch in.Kind + in.Scope {
		case "rate_limit":
			require.Equal(t, want, format.RateLimitKey(in.AccountID, in.FnID, key))
		case "throttle":
			require.Equal(t, want, format.ThrottleKey(in.AccountID, in.FnID, key))
		case "concurrencyFn":
			require.Equal(t, want, format.ConcurrencyKeyOf(in.AccountID, format.OfFunction, in.FnID, key))
		case "concurrencyEnv":
			require.Equal(t, want, format.ConcurrencyKeyOf(in.AccountID, format.OfEnvironment, in.EnvID, key))
		case "concurrencyAccount":
			require.Equal(t, want, format.ConcurrencyKeyOf(in.AccountID, format.OfAccount, in.AccountID, key))
		default:
			t.Fatalf("kind %s %s", in.Kind, in.Scope)
		}
	}
	require.Equal(t, 9, tested)
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	const pause = "{estate}:pauses:74092103-ced1-565e-9513-711d647709e0"
	for name, c := range map[string]struct {
		key   string
		typ   format.Type
		entry format.Entry
		want  string
	}{
		"an unknown key":           {"{queue}:nothing:of:this", format.Hash, format.Entry{}, `unknown key: "{queue}:nothing:of:this"`},
		"a key without a tag":      {"plain", format.String, format.Entry{}, `unknown key: "plain"`},
		"two runs in one key":      {"{estate:01M8AFD44GEAS21CWY6S6WK2XR}:metadata:01M8AFFXJF4F62JZK427S42KTP", format.Hash, format.Entry{}, "unknown key"},
		"another type":             {pause, format.Hash, format.Entry{}, pause + " is a hash and should be a string"},
		"cut off":                  {pause, format.String, format.Entry{Value: `{"id":`}, "value of " + pause + ": not JSON"},
		"no UUID":                  {format.PauseIndexKey, format.Set, format.Entry{Member: "x"}, "value of {estate}:pauses-idx [x]: \"x\" is no UUID"},
		"no lease":                 {format.RoleScavengerKey, format.String, format.Entry{Value: "01m8afd44geas21cwy6s6wk2xr"}, "not in upper case"},
		"no number":                {"{queue}:queue:item:peek:abc", format.String, format.Entry{Value: "1.5"}, "invalid syntax"},
		"no time":                  {"{cs}:a:00000000-0000-4000-a000-000000000000:throttle:f:62755c39-95cf-5e64-a26b-73152f904cd8<a:b>", format.String, format.Entry{Value: "NaN"}, "not a number"},
		"an output that is broken": {"{estate:01M8AFD44GEAS21CWY6S6WK2XR}:actions:62755c39-95cf-5e64-a26b-73152f904cd8:01M8AFD44GEAS21CWY6S6WK2XR", format.Hash, format.Entry{Member: "a", Value: "{"}, "[a]: not JSON"},
		"no events":                {"{estate:01M8AFD44GEAS21CWY6S6WK2XR}:bulk-events:62755c39-95cf-5e64-a26b-73152f904cd8:01M8AFD44GEAS21CWY6S6WK2XR", format.String, format.Entry{Value: "[]"}, "no event"},
		"a field of the metadata":  {"{estate:01M8AFD44GEAS21CWY6S6WK2XR}:metadata:01M8AFD44GEAS21CWY6S6WK2XR", format.Hash, format.Entry{Member: "sat", Value: "soon"}, `[sat]: "soon" is no whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, format.Check(c.key, c.typ, c.entry), c.want)
		})
	}
	require.ErrorIs(t, format.Check("plain", format.String, format.Entry{}), format.ErrUnknownKey)
	var wrong *format.WrongTypeError
	require.ErrorAs(t, format.Check(pause, format.Hash, format.Entry{}), &wrong)
}
