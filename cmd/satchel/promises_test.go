package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promises are what satchel promises, and for each the tests that hold it to that: a test of Go by
// package and name, a story by its file. Whoever breaks one on purpose sees a test of its row fail.
var promises = map[string][]string{
	"a push that has ended well can be restored, bit for bit, by any enrolled device, whatever else runs": {
		"snapshot TestPushKeepsEveryByte", "snapshot TestPushFailsAtEveryCall", "restore TestPullBringsEverything", "restore TestThreeDevicesLoseNothing",
		"restore TestMergingPushFailsAtEveryCall", "snapshot/retention TestPruneUnderAPush", "two_devices.txt",
	},
	"a crash at any store call or system call of push, pull or prune leaves the old state or the new one": {
		"snapshot TestPushFailsAtEveryCall", "restore TestPullFailsAtEveryCall", "restore TestChangesFailAtEveryStoreCall",
		"restore TestPullCrashesAtEveryFileSystemCall", "restore TestMergeCrashesAtEveryFileSystemCall", "restore TestUndoCrashesAtEveryFileSystemCall",
		"restore TestRestoreCrashesAtEveryFileSystemCall", "restore TestRestoreBesideCrashesAtEveryFileSystemCall", "snapshot/retention TestPruneFailsAtEveryCall",
		"cmd/satchel TestKilledPush", "cmd/satchel TestKilledPull", "interrupted.txt",
	},
	"a file is never overwritten before its old bytes are safe and its new bytes verified": {
		"restore TestForcedPullCanBeUndone", "restore TestThreeDevicesLoseNothing", "restore TestPullRefusesToLoseLocalChanges", "store/pack TestChunkThatIsNotItsHash",
	},
	"damage is detected, named by path, and never restored as if it were whole": {
		"restore TestDamageIsNamedAndNothingIsWritten", "restore TestLiesAreRefused", "snapshot/check TestCheckNamesEveryDamage",
		"snapshot/check TestPullOfADamagedRepositoryIsRightOrNothing", "damage.txt",
	},
	"pull and restore that find no snapshot never end with 0": {"no_repository.txt", "vanished.txt"},
	"a provider that changes, swaps or drops objects is caught": {
		"store/seal TestEveryFlippedByteIsNoticed", "store/pack TestPackInTheOthersPlace", "store/ledger TestGapIsDamage", "store/ledger TestReplacedEntryIsDamage",
		"store/ledger TestAnotherRepositoryInItsPlace", "cmd/satchel TestManifestOfAnotherSnapshotIsRefused",
	},
	"a provider that rolls back is caught by who has seen a newer head":             {"store/ledger TestRollbackIsAnAlarm", "store/ledger TestForkIsAnAlarm"},
	"a provider learns padded sizes only, and no key":                               {"store/seal TestPadme", "store/seal TestNothingShowsKeys"},
	"version 1.x reads every version 1 repository":                                  {"snapshot TestGoldenRepository", "snapshot TestSecondReader"},
	"an unknown incompatible bit is refused, a read-compatible one means read only": {"store/seal TestUnknownFlags", "store/ledger TestCompatibleBitMeansReadOnly"},
}

// Every test that a promise rests on is there, by its name.
func TestPromisesNameTheirTests(t *testing.T) {
	tests := map[string][]string{}
	def := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for promise, names := range promises {
		for _, name := range names {
			folder, test, isGo := strings.Cut(name, " ")
			if !isGo {
				if _, err := os.Stat(filepath.Join("testdata", "script", name)); err != nil {
					t.Errorf("%s: %v", promise, err)
				}
				continue
			}
			if tests[folder] == nil {
				files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					for _, m := range def.FindAllSubmatch(b, -1) {
						tests[folder] = append(tests[folder], string(m[1]))
					}
				}
			}
			if !slices.Contains(tests[folder], test) {
				t.Errorf("%s: there is no test %s in %s", promise, test, folder)
			}
		}
	}
}
