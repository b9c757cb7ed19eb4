"""Several finished runs side by side: read, told apart and summarised."""
