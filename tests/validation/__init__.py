"""The validation battery: is the analysis right? Held against replications, published tables and other libraries."""
