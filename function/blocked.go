package function

import (
	"strconv"
	"strings"
)

// ErrorSDKBlocked is an app's error, and the answer's code, when its SDK's
// version is refused.
const ErrorSDKBlocked = "sdk_version_denied"

const blockedMessage = "App sync was blocked because this application is using an Inngest JavaScript SDK with a known security vulnerability. " +
	"Please upgrade to v3.54.0 or later. See more information: https://www.inngest.com/blog/cve-2026-42047"

// The blocked versions, both included (sdk-protocol §5.5).
var (
	firstBlocked = [3]int{3, 22, 0}
	lastBlocked  = [3]int{3, 53, 1}
)

// BlockedSDK tells whether an SDK is refused because of a vulnerability, and
// the message for its user.
func BlockedSDK(language, version string) (message string, blocked bool) {
	if language != "js" && language != "inngest-js" {
		return "", false
	}
	v, ok := parseVersion(version)
	if !ok || before(v, firstBlocked) || before(lastBlocked, v) {
		return "", false
	}
	return blockedMessage, true
}

// parseVersion reads "v3.22.0"; a pre-release counts as its release.
func parseVersion(version string) (v [3]int, ok bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	version, _, _ = strings.Cut(version, "+")
	parts := strings.Split(version, ".")
	if len(parts) != len(v) {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func before(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
