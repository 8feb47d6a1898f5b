package signing

import (
	"crypto/hmac"
	"crypto/sha256"
)

// DevSecret signs tokens where nothing is secret (http-api §4).
const DevSecret = "dev-mode-is-not-secret"

// Secrets are what tokens of one purpose are signed with, derived from the
// signing keys, which all processes of a cluster share: the first makes
// tokens, all verify them. Without any key it is DevSecret.
func Secrets(purpose string, keys ...string) [][]byte {
	var secrets [][]byte
	for _, key := range keys {
		if key == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(NormalizeKey(key)))
		mac.Write([]byte(purpose))
		secrets = append(secrets, mac.Sum(nil))
	}
	if len(secrets) == 0 {
		return [][]byte{[]byte(DevSecret)}
	}
	return secrets
}
