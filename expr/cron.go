package expr

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // cron zones must not depend on the host's files

	"github.com/robfig/cron/v3"
)

// Schedule is a parsed cron expression.
type Schedule interface {
	// Next is the first tick strictly after t, in t's zone unless the
	// expression names another; zero if there is none within five years.
	Next(t time.Time) time.Time
}

var (
	fiveFields  = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	descriptors = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
)

// ParseCron reads a five-field cron expression with an optional TZ= or
// CRON_TZ= prefix, as accepted at registration (flow-control §7.1).
func ParseCron(spec string) (Schedule, error) {
	return parseCron(fiveFields, spec)
}

// ParseStoredCron reads also the descriptors (@daily, @every 90s, …) which
// registration refuses but which rows stored by other means may hold.
func ParseStoredCron(spec string) (Schedule, error) {
	return parseCron(descriptors, spec)
}

func parseCron(parser cron.Parser, spec string) (Schedule, error) {
	// The parser indexes behind the zone without looking for its end.
	if (strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=")) && !strings.Contains(spec, " ") {
		return nil, fmt.Errorf("error parsing cron expression: no fields after the time zone: %s", spec)
	}
	schedule, err := parser.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("error parsing cron expression: %w", err)
	}
	return schedule, nil
}
