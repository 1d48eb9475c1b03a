"""Prepare, choose, train, fine-tune, cross-validate."""
