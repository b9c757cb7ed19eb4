"""Marginals: what one can measure of a simulated world and hold against published numbers."""
