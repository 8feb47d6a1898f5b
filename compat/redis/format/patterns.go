package format

import (
	"errors"
	"strconv"
)

// patterns are the kinds of keys by hash tag. The first that matches counts.
var patterns map[string][]*Pattern

func init() {
	patterns = map[string][]*Pattern{
		"{estate:":        append(runPatterns(), claimPatterns()...),
		"{estate}":        pausePatterns(),
		"{queue}":         append(queuePatterns(), append(flowPatterns(), backlogPatterns()...)...),
		"{queue:":         batchPatterns(),
		"{cs}":            constraintPatterns(),
		"{<environment>}": workerPatterns(),
		"{connect}": {
			{Template: GatewaysKey, Type: Hash, member: isULID, value: is[Gateway]},
		},
	}
}

func runPatterns() []*Pattern {
	return []*Pattern{
		{Template: "{estate:<run>}:metadata:<run>", Type: Hash, value: isMetadataField},
		{Template: "{estate:<run>}:bulk-events:<function>:<run>", Type: String, value: isEvents},
		{Template: "{estate:<run>}:actions:<function>:<run>", Type: Hash, value: isJSON},
		{Template: "{estate:<run>}:stack:<run>", Type: List},
		{Template: "{estate:<run>}:pending:<function>:<run>", Type: Set},
		{Template: "{estate:<run>}:inputs:<function>:<run>", Type: Hash, value: isJSON},
		{Template: "{estate:<run>}:defers-meta:<function>:<run>", Type: Hash, value: is[Defer]},
		{Template: "{estate:<run>}:defers-input:<function>:<run>", Type: Hash},
		{Template: "{estate:<run>}:defers-control-meta:<function>:<run>", Type: Hash, value: isJSON},
	}
}

func claimPatterns() []*Pattern {
	return []*Pattern{
		{Template: "{estate:<account>}:key:<...>:finalize", Type: String, value: isUUID},
		{Template: "{estate:<account>}:key:<...>", Type: String},
	}
}

func pausePatterns() []*Pattern {
	return []*Pattern{
		{Template: "{estate}:pauses:<pause>", Type: String, value: is[Pause]},
		{Template: PauseIndexKey, Type: Set, member: isUUID},
		{Template: "{estate}:pause-events:<environment>:<...>", Type: Hash, member: isUUID, value: is[Pause]},
		{Template: "{estate}:pause-idx:add:<environment>:<...>", Type: Sorted, member: isUUID},
		{Template: "{estate}:pause-idx:exp:<environment>:<...>", Type: Sorted, member: isUUID},
		{Template: "{estate}:pr:<run>", Type: Set, member: isUUID},
		{Template: "{estate}:invoke:<environment>", Type: Hash, value: isUUID},
		{Template: "{estate}:signal:<environment>", Type: Hash, value: isUUID},
		{Template: "{estate}:pause-block:<pause>", Type: String},
		{Template: PausesAsideKey, Type: Hash, value: is[Aside]},
		{Template: "{estate}:jetstep:aside:<lease>:<...>"},
	}
}

func queuePatterns() []*Pattern {
	return []*Pattern{
		{Template: ItemsKey, Type: Hash, value: is[Item]},
		{Template: PartitionsKey, Type: Hash, value: is[Partition]},
		{Template: PointersKey, Type: Sorted},
		{Template: "{queue}:accounts:<account>:partition:sorted", Type: Sorted},
		{Template: "{queue}:accounts:<account>:shadows:sorted", Type: Sorted},
		{Template: AccountsKey, Type: Sorted, member: isUUID},
		{Template: LeasedKey, Type: Sorted},
		{Template: SetAsideKey, Type: Hash, value: is[Aside]},
		{Template: "{queue}:jetstep:aside:<lease>:<...>"},
		{Template: "{queue}:queue:sorted:<...>", Type: Sorted},
		{Template: "{queue}:scavenger:<...>:sorted", Type: Sorted},
		{Template: "{queue}:idx:run:<run>", Type: Sorted},
		{Template: "{queue}:queue:status:<function>:<status>", Type: Sorted},
		{Template: "{queue}:queue:seen:<item>", Type: String},
		{Template: "{queue}:queue:item:peek:<item>", Type: String, value: isNumber},
		{Template: RoleSequentialKey, Type: String, value: isULID},
		{Template: RoleScavengerKey, Type: String, value: isULID},
		{Template: RoleInstrumentsKey, Type: String, value: isULID},
		{Template: RoleLatencyKey, Type: String, value: isULID},
		{Template: "{queue}:migrate-lock:<function>", Type: String, value: isULID},
	}
}

func flowPatterns() []*Pattern {
	return []*Pattern{
		{Template: "{queue}:singleton:<function>", Type: String, value: isULID},
		{Template: "{queue}:singleton:<function>-<hash>", Type: String, value: isULID},
		{Template: "{queue}:singleton-run:<run>", Type: String},
		{Template: "{queue}:debounce-ptrs:<function>:<...>", Type: String, value: isULID},
		{Template: DebouncesKey, Type: Hash, member: isULID, value: is[Debounced]},
		{Template: DebounceMoving, Type: Hash, member: isULID},
	}
}

func backlogPatterns() []*Pattern {
	return []*Pattern{
		{Template: BacklogsKey, Type: Hash, value: is[Backlog]},
		{Template: ShadowsKey, Type: Hash, value: is[Shadow]},
		{Template: "{queue}:backlog:sorted:<...>", Type: Sorted},
		{Template: "{queue}:backlog:<...>:lease", Type: String, value: isULID},
		{Template: ShadowAccountsKey, Type: Sorted, member: isUUID},
		{Template: ShadowPointersKey, Type: Sorted},
		{Template: "{queue}:shadow:sorted:<...>", Type: Sorted},
		{Template: NormalizeKey, Type: Sorted},
		{Template: "{queue}:normalize:accounts:<account>:sorted", Type: Sorted},
		{Template: "{queue}:normalize:partition:<...>:sorted", Type: Sorted},
	}
}

func batchPatterns() []*Pattern {
	return []*Pattern{
		{Template: "{queue:<function>}:workflows:<function>:batch", Type: String, value: isULID},
		{Template: "{queue:<function>}:workflows:<function>:batch:<...>", Type: String, value: isULID},
		{Template: "{queue:<function>}:batches:<batch>", Type: List, value: is[Batched]},
		{Template: "{queue:<function>}:batches:<batch>:metadata", Type: Hash},
		{Template: "{queue:<function>}:batch_idem:<event>", Type: String},
	}
}

func constraintPatterns() []*Pattern {
	return []*Pattern{
		{Template: ConstraintAccountsKey, Type: Sorted, member: isUUID},
		{Template: "{cs}:a:<account>:leaseq", Type: Sorted, member: isULID},
		{Template: "{cs}:a:<account>:ld:<lease>", Type: Hash},
		{Template: "{cs}:a:<account>:rs:<request>", Type: String, value: is[Request]},
		{Template: "{cs}:a:<account>:concurrency:<scope>:<scoped><limit>", Type: Sorted, member: isULID},
		{Template: "{cs}:a:<account>:throttle:f:<function><limit>", Type: String, value: isTAT},
		{Template: "{cs}:a:<account>:rl:f:<function><limit>", Type: String, value: isTAT},
		{Template: "{cs}:a:<account>:sem:ik:<operation>:<...>", Type: String, value: isNumber},
		{Template: "{cs}:a:<account>:sem:<...>:cap", Type: String, value: isNumber},
		{Template: "{cs}:a:<account>:sem:<...>:usage:<value>", Type: String, value: isNumber},
		{Template: "{cs}:a:<account>:ik:op:<operation>:<hash>", Type: String, value: is[Reply]},
		{Template: "{cs}:a:<account>:ik:cc:<hash>", Type: String, value: isNumber},
	}
}

func workerPatterns() []*Pattern {
	return []*Pattern{
		{Template: "{<environment>}:conns", Type: Hash, member: isULID, value: is[Connection]},
		{Template: "{<environment>}:conns_appid:<app>", Type: Set, member: isULID},
		{Template: "{<environment>}:groups", Type: Hash, value: is[WorkerGroup]},
		{Template: "{<environment>}:groups:<hash>", Type: Set, member: isULID},
		{Template: "{<environment>}:request-lease:<request>", Type: String, value: is[RequestLease]},
		{Template: "{<environment>}:buffered-response:<request>", Type: String},
		{Template: "{<environment>}:worker-capacity:<hash>", Type: String, value: isNumber},
		{Template: "{<environment>}:worker-requests-set:<hash>", Type: Sorted, member: isULID},
		{Template: "{<environment>}:request-worker:<request>", Type: String},
	}
}

func is[T any](at Place, text string) error {
	_, err := Decode[T](at, text)
	return err
}

func isULID(at Place, text string) error {
	if _, err := ParseULID(text); err != nil {
		return &ValueError{Place: at, Err: err}
	}
	return nil
}

func isUUID(at Place, text string) error {
	if _, err := ParseUUID(text); err != nil {
		return &ValueError{Place: at, Err: err}
	}
	return nil
}

func isJSON(at Place, text string) error {
	_, err := DecodeOutput(at, text)
	return err
}

func isEvents(at Place, text string) error {
	_, err := DecodeEvents(at.Key, text)
	return err
}

func isTAT(at Place, text string) error {
	_, err := ParseTAT(at, text)
	return err
}

func isNumber(at Place, text string) error {
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return &ValueError{Place: at, Err: errors.Unwrap(err)}
	}
	return nil
}

// isMetadataField reads one field of a run's metadata, as if the others were fine.
func isMetadataField(at Place, text string) error {
	hash := map[string]string{FieldID: `{}`, FieldStatus: "5"}
	hash[at.Member] = text
	_, err := DecodeMetadata(at.Key, hash)
	return err
}
