package partition

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A call began, its event came and was matched, and then the partition's owner
// was replaced: its memory of the last events is gone, the event still counts.
func TestWaitFindsEventMatchedByAnEarlierOwner(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, partitions)
			s.register(on("waiter", "begin"))
			lease := s.begin("begin")
			event := s.send("go", `{"k":1}`)
			s.passed()
			s.settled()
			for p := range partitions {
				s.replaceOwner(p)
			}
			s.commit(waitForEvent(lease, s.load(lease.RunID), "go", "async.data.k == 1", time.Now().Add(time.Hour)))
			s.eventually(func() bool {
				memo, ok := s.load(lease.RunID).Memo("w")
				return ok && json.Valid(memo)
			}, "the event was missed")
			memo, _ := s.load(lease.RunID).Memo("w")
			require.Contains(t, string(memo), event.ID)
		})
	}
}
