"""Running processes, metrics, diagnosis."""
