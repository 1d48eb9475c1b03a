"""Figures, intervals, segments, the model card."""
