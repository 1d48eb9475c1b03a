"""Drift reports and the counts of nights."""
