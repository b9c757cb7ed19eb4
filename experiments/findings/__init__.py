"""Sentences that a run computes: what an experiment set out to find, and found. One module per kind."""
