"""POP909 with its human analysis."""
