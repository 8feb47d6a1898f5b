package format

import "github.com/oklog/ulid/v2"

// LeaseExpiry is when a lease of an item, partition, role or capacity ends, in
// milliseconds: the time of its ULID (redis-queue §3.2).
func LeaseExpiry(lease ulid.ULID) int64 { return int64(lease.Time()) }

// LeaseText is LeaseExpiry of a lease as it is stored. As in the original, what
// is too short to hold a time has ended long ago; so has what is no lease.
func LeaseText(lease string) int64 {
	id, err := ulid.ParseStrict(lease)
	if err != nil {
		return 0
	}
	return LeaseExpiry(id)
}

// Leased tells whether a lease lasts; nil does not.
func Leased(lease *ulid.ULID, now int64) bool { return lease != nil && LeaseExpiry(*lease) > now }
