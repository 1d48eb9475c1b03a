"""Erases a person everywhere, and proves it."""
