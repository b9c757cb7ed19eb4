"""The reports: terminal, page, figures and tables. Printing and plotting live here and in the commands."""
