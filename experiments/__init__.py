"""The workshop: specs, assignment, runs, analysis and reports."""
