"""Who lives, metrics, diagnosis."""
