"""Plays the loop over a known past, with any policy: what it would have promoted, and with what result."""
