"""Secrets of the installation, hashed keys, and marks of erased persons."""
