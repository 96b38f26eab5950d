package retention

// SetSegments makes few and small segments worth a compaction, until the test ends.
func SetSegments(many int, bytes int64) (restore func()) {
	a, b := manySegments, slack
	manySegments, slack = many, bytes
	return func() { manySegments, slack = a, b }
}
