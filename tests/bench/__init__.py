"""Benchmarks: `make bench`. Every figure is CPU time of one thread, as a ratio to a named reference in the same run."""
