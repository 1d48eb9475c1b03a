"""Secrets of the installation, hashed keys, and marks of who was erased."""
