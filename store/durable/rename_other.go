//go:build !windows && !linux && !darwin

package durable

func renameExclusive(from, to string) error { return linkExclusive(from, to) }
