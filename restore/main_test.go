package restore_test

import (
	"os"
	"testing"

	"satchel/snapshot/sqlite/sqlitetest"
)

func TestMain(m *testing.M) {
	sqlitetest.Main()
	os.Exit(m.Run())
}
