"""Scores shards of a book, and online requests."""
