"""Pairs of files as a table: some sixty bytes each instead of several objects, for sets of millions."""
