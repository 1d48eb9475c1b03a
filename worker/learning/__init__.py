"""The training records and their outcomes."""
