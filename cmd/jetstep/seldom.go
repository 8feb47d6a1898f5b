package main

import (
	"sync"
	"time"
)

// seldom decides what is worth saying again: the same once a minute.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time // when it was last said
}

const (
	seldomEvery = time.Minute
	seldomNames = 1000 // remembered at most
)

func newSeldom() *seldom { return &seldom{said: map[string]time.Time{}} }

// worthSaying tells whether to say it now. Time that goes backwards makes
// nothing worth saying.
func (s *seldom) worthSaying(what string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.said[what]; ok && now.Sub(last) < seldomEvery {
		return false
	}
	if len(s.said) >= seldomNames {
		clear(s.said)
	}
	s.said[what] = now
	return true
}
