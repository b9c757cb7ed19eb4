"""One module per section of the spec."""
