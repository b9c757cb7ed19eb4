"""Pure mathematics on aggregates: no files, no torch, no SimPy, and nothing else of ours."""
