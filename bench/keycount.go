package bench

import (
	"bytes"
	"sync"
)

// keyCount counts calls in flight by key, and remembers the most.
type keyCount struct {
	mu   sync.Mutex
	now  map[string]int
	most int
}

func (k *keyCount) begin(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now == nil {
		k.now = map[string]int{}
	}
	k.now[key]++
	k.most = max(k.most, k.now[key])
}

func (k *keyCount) end(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now[key]--; k.now[key] == 0 {
		delete(k.now, key)
	}
}

// Most is how many calls of one key were in flight at once at most.
func (k *keyCount) Most() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.most
}

// eventKey is the "key" of the data of the request's event, "" without one.
func eventKey(body []byte) string {
	const member = `"key":"`
	data := eventData(body)
	i := bytes.Index(data, []byte(member))
	if i < 0 {
		return ""
	}
	key, _, _ := bytes.Cut(data[i+len(member):], []byte{'"'})
	return string(key)
}
