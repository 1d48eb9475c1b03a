"""Scorecard and trees fitted beside attention, and the share of each."""
