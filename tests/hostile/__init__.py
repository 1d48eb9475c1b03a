"""Hostile clients, files and receivers, against real processes and servers."""
