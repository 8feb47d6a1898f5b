package state

// Status is a run's status, numbered as stored data has it (sdk-protocol §17.1).
type Status uint8

// The statuses of a run. Overflowed is only ever read from old data.
const (
	Running    Status = 0
	Completed  Status = 1
	Failed     Status = 2
	Cancelled  Status = 3
	Overflowed Status = 4
	Scheduled  Status = 5
	Unknown    Status = 6
	Skipped    Status = 7
)

// statuses has the name that APIs use and the code that databases order by.
var statuses = [...]struct {
	name string
	code int
}{
	Running:    {"Running", 200},
	Completed:  {"Completed", 300},
	Failed:     {"Failed", 400},
	Cancelled:  {"Cancelled", 500},
	Overflowed: {"Overflowed", 50},
	Scheduled:  {"Scheduled", 100},
	Unknown:    {"Unknown", 0},
	Skipped:    {"Skipped", 600},
}

// String is the name that the API uses.
func (s Status) String() string {
	if int(s) >= len(statuses) {
		s = Unknown
	}
	return statuses[s].name
}

// Code is the number that stands for the status in stored, ordered form; 0 for
// Unknown.
func (s Status) Code() int {
	if int(s) >= len(statuses) {
		s = Unknown
	}
	return statuses[s].code
}

// StatusOfCode is the reverse of Code; Unknown for any other number.
func StatusOfCode(code int) Status {
	for s, names := range statuses {
		if names.code == code {
			return Status(s)
		}
	}
	return Unknown
}

// Ended tells whether the status is final.
func (s Status) Ended() bool {
	switch s {
	case Completed, Failed, Cancelled, Overflowed, Skipped:
		return true
	}
	return false
}
