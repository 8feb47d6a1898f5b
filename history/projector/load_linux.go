package projector

import (
	"os"
	"strconv"
	"strings"
)

// loadMeter measures how busy the machine is between two samples.
type loadMeter struct{ idle, total uint64 }

// sample is the busy share of all processors since the sample before, 0 if it is
// unknown.
func (m *loadMeter) sample() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return m.add(string(text))
}

// add takes the contents of /proc/stat, whose first line has the ticks of all
// processors: user, nice, system, idle, iowait, …
func (m *loadMeter) add(stat string) float64 {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return 0
	}
	before := *m
	m.idle, m.total = 0, 0
	for i, field := range fields[1:min(len(fields), 9)] { // guests are part of user
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0
		}
		m.total += ticks
		if i == 3 || i == 4 {
			m.idle += ticks
		}
	}
	if before.total == 0 || m.total <= before.total || m.idle < before.idle {
		return 0
	}
	return 1 - float64(m.idle-before.idle)/float64(m.total-before.total)
}
