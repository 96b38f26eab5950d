package durable

var exclusiveWays map[string]func(from, to string) error
