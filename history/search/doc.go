package search

type Query struct{}
