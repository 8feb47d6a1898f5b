package redis_test

import (
	"os"
	"testing"

	"jetstep/tests/harness"
)

var binary harness.SharedBinary

func TestMain(m *testing.M) { os.Exit(binary.Run(m)) }
