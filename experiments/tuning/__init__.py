"""Tune the parameters of a policy against several goals at once, from noisy evaluations of known error."""
