package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Journal is a file that says how far a copy has come, so that one that was
// interrupted goes on. It names both sides: it is of no use for others.
type Journal struct {
	path string
	kept
}

type kept struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	After    Position `json:"after"`
	Finished bool     `json:"finished"`
	Summary  *Summary `json:"summary"`
}

// ErrOtherJournal is the journal of a copy between other sides.
var ErrOtherJournal = errors.New("it is the progress of another migration")

// OpenJournal reads a journal, or begins a new one where there is no file, or that
// of a copy that was finished.
func OpenJournal(path, from, to string) (*Journal, error) {
	j := &Journal{path: path, kept: kept{From: from, To: to}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the progress: %w", err)
	}
	var have kept
	if err := json.Unmarshal(text, &have); err != nil {
		return nil, fmt.Errorf("read the progress in %s: %w", path, err)
	}
	if have.From != from || have.To != to {
		return nil, fmt.Errorf("%s: %w, from %s to %s", path, ErrOtherJournal, have.From, have.To)
	}
	if !have.Finished {
		j.kept = have
	}
	return j, nil
}

// Resumes tells whether an earlier copy was interrupted.
func (j *Journal) Resumes() bool { return j.After != "" }

// Save writes how far the copy is: the file is whole at any moment.
func (j *Journal) Save(after Position, s *Summary, finished bool) error {
	j.After, j.Summary, j.Finished = after, s, finished
	text, err := json.MarshalIndent(j.kept, "", "  ")
	if err == nil {
		err = replaceFile(j.path, text)
	}
	if err != nil {
		return fmt.Errorf("write the progress: %w", err)
	}
	return nil
}

// replaceFile replaces a file's contents at one moment, and durably.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
