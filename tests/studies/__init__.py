"""Studies: questions put to worlds whose truth is known, answered with standard errors over paired seeds."""
