"""Engines, the clock, bulk reading and writing, private files."""
