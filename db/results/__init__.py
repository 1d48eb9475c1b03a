"""Scores and rejects: written, paged, verified, removed."""
