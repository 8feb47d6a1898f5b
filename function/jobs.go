package function

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
)

// A job's name says what the job does in which run; its id, which the queue
// stores and the SDK sees, is Hash of the name. Names are in sdk-protocol
// §4.5; key is the RunKey, stepID the hashed step id.

// StepJob is which of a step's jobs a name is for.
type StepJob string

// The jobs of a step.
const (
	JobDiscovery StepJob = ""            // after the step finished; also the step's sleep or timeout
	JobFailure   StepJob = "-failure"    // discovery after the step failed
	JobPlan      StepJob = "-plan"       // execution of a planned step
	JobEvent     StepJob = "-event"      // discovery after a pause was resumed
	JobTimeout   StepJob = "-timeout"    // discovery after a pause timed out
	JobSyncRetry StepJob = "-sync-retry" // retry of a sync checkpoint's failed step
)

// StepJobName is the name of a step's job.
func StepJobName(key, stepID string, job StepJob) string {
	return key + "-" + stepID + string(job)
}

// CoalescedJobName is the name of the discovery after the last of a group of
// parallel steps.
func CoalescedJobName(runID, coalesceKey string) string {
	return runID + "-" + coalesceKey + "-discover"
}

// StartTimeoutJobName is the name of the job that cancels a run not started in time.
func StartTimeoutJobName(key string) string {
	return "eager-cancel-start-timeout-" + key
}

// FinishTimeoutJobName is the name of the job that cancels a run not finished in time.
func FinishTimeoutJobName(key string) string {
	return "eager-cancel-finish-timeout-" + key
}

// BatchJobName is the name of the job that starts a batch.
func BatchJobName(environment uuid.UUID, batchID string) string {
	return environment.String() + ":" + batchID
}

// CronJobName is the name of the job of one tick. The tick's zone is part of
// it: servers that share a queue must compute it in the same zone
// (flow-control §7.2).
func CronJobName(tick time.Time, expression string, function uuid.UUID, version int) string {
	return fmt.Sprintf("{%s}:{%s}:{%s}:{%d}:cron:schedule", tick, expression, function, version)
}

// StartJob is the id of a run's first job, whose name is the run key.
func StartJob(key string) string { return Hash(key) }

// DiscoveryJob is the id of the discovery after a finished step.
func DiscoveryJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobDiscovery)) }

// SleepJob is the id of a sleep and of the discovery after it: one item.
func SleepJob(key, stepID string) string { return DiscoveryJob(key, stepID) }

// PauseTimeoutJob is the id of the job that ends a wait, invoke or signal.
func PauseTimeoutJob(key, stepID string) string { return DiscoveryJob(key, stepID) }

// FailureJob is the id of the discovery after a failed step.
func FailureJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobFailure)) }

// PlanJob is the id of the execution of a planned step.
func PlanJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobPlan)) }

// EventJob is the id of the discovery after a pause was resumed by an event,
// a signal or an invoke's result.
func EventJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobEvent)) }

// TimeoutJob is the id of the discovery after a pause timed out.
func TimeoutJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobTimeout)) }

// SyncRetryJob is the id of the retry of a sync checkpoint's failed step.
func SyncRetryJob(key, stepID string) string { return Hash(StepJobName(key, stepID, JobSyncRetry)) }

// CoalescedJob is the id of the discovery after a group of parallel steps.
func CoalescedJob(runID, coalesceKey string) string {
	return Hash(CoalescedJobName(runID, coalesceKey))
}

// StartTimeoutJob is the id of the job that cancels a run not started in time.
func StartTimeoutJob(key string) string { return Hash(StartTimeoutJobName(key)) }

// FinishTimeoutJob is the id of the job that cancels a run not finished in time.
func FinishTimeoutJob(key string) string { return Hash(FinishTimeoutJobName(key)) }

// BatchJob is the id of the job that starts a batch.
func BatchJob(environment uuid.UUID, batchID string) string {
	return Hash(BatchJobName(environment, batchID))
}

// DebounceJob is the id of the job of a debounce, whose name is its own id.
func DebounceJob(debounceID string) string { return Hash(debounceID) }

// CronJob is the id of the job of one tick.
func CronJob(tick time.Time, expression string, function uuid.UUID, version int) string {
	return Hash(CronJobName(tick, expression, function, version))
}

// Bounds on the configured jitter of a cron trigger (flow-control §2).
const (
	MinCronJitter = time.Second // applied too
	MaxCronJitter = 5 * time.Minute
)

// CronJitter is how long after its tick a cron run fires, at least one second
// and at most limit, the same for the same seed. The seed is the job id of the
// tick (flow-control §7.3). A limit below one second means no jitter.
func CronJitter(seed string, limit time.Duration) time.Duration {
	if limit < MinCronJitter {
		return 0
	}
	span := uint64(limit - MinCronJitter)
	if span == 0 {
		return MinCronJitter
	}
	return MinCronJitter + time.Duration(xxhash.Sum64String(seed)%span)
}
