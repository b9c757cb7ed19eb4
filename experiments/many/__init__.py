"""Many runs of one design: every variant in a folder of its own, and what they say together."""
