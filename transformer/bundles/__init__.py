"""A model at rest: its values, its files, the store."""
