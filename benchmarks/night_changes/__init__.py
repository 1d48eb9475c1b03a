"""Faults and honest changes of a night, as functions on its records, and books of three kinds to make them in."""
