"""The demo: a simulated book and its thirty nights."""
