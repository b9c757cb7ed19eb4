"""Tables of one's own experiment: from rows to statistics of units, and to the same answers as a simulated test."""
